"""Input that vanishes, hangs, or is put in another's place while a run is at work: its clip fails by name, alone."""

from __future__ import annotations

import json
import os
import time

import pytest

from eri.extraction.report import read_failures
from tests.factories.disturbing import CLIPS, Scene
from tests.factories.processes import wait_until


def failures_of(scene: Scene) -> dict[str, str]:
    return {failure.clip_id: failure.reason for failure in read_failures(scene.folder())}


@pytest.mark.slow
def test_input_that_vanishes_in_mid_run_is_named(scene):
    process = scene.start(workers=1, delay=0.05)
    wait_until(lambda: len(scene.workers()) >= 2)
    lost = scene.data / f"{CLIPS[-1]}.mp4"
    content = lost.read_bytes()
    lost.unlink()
    answer = json.loads(process.communicate(timeout=120)[0])
    assert (answer["exit"], answer["complete"]) == (3, len(CLIPS) - 1)
    assert failures_of(scene) == {CLIPS[-1]: "missing"}
    lost.write_bytes(content)
    scene.recover([CLIPS[-1]])
    assert failures_of(scene) == {}


@pytest.mark.faults
def test_a_folder_of_input_that_vanishes_costs_what_was_not_done(scene):
    process = scene.start(workers=2, delay=0.1)
    wait_until(lambda: len(scene.whole()) >= 5)
    away = scene.data.with_name("away")
    scene.data.rename(away)
    answer = json.loads(process.communicate(timeout=120)[0])
    whole = scene.whole()
    assert (answer["exit"], answer["complete"]) == (3, len(whole))
    assert 5 <= len(whole) < len(CLIPS)
    assert set(failures_of(scene)) == set(CLIPS) - whole
    assert set(failures_of(scene).values()) <= {"missing", "unreadable"}
    away.rename(scene.data)
    scene.recover(set(CLIPS) - whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    "hanging",
    [1, pytest.param(4, marks=pytest.mark.faults)],
    ids=["one", "more than there are workers"],
)
def test_a_pipe_that_no_one_writes_to_is_timed_out_by_name(scene, hanging):
    stuck = CLIPS[3 : 3 + hanging]
    content = {clip_id: (scene.data / f"{clip_id}.mp4").read_bytes() for clip_id in stuck}
    for clip_id in stuck:
        (scene.data / f"{clip_id}.mp4").unlink()
        os.mkfifo(scene.data / f"{clip_id}.mp4")
    begun = time.monotonic()
    report = scene.run(workers=2, timeout=1.5)
    assert time.monotonic() - begun < 30
    assert {failure.clip_id: failure.reason for failure in report.failures} == dict.fromkeys(stuck, "timeout")
    assert all("--timeout" in failure.message for failure in report.failures)
    assert report.extractors[0].complete == len(CLIPS) - hanging
    for clip_id in stuck:
        (scene.data / f"{clip_id}.mp4").unlink()
        (scene.data / f"{clip_id}.mp4").write_bytes(content[clip_id])
    scene.recover(stuck)


@pytest.mark.faults
def test_a_decoder_that_hangs_holding_the_interpreter_is_timed_out(scene):
    stuck = CLIPS[2]
    content = (scene.data / f"{stuck}.mp4").read_text()
    (scene.data / f"{stuck}.mp4").write_text("seize")
    report = scene.run(workers=1, timeout=1.5)
    assert [(failure.clip_id, failure.reason) for failure in report.failures] == [(stuck, "timeout")]
    (scene.data / f"{stuck}.mp4").write_text(content)
    scene.recover([stuck])


@pytest.mark.faults
def test_clips_that_crash_hang_and_are_damaged_at_once(scene):
    odd = dict(zip(CLIPS[::4], ("crash", "hang", "truncated", "memory", "crash", "hang"), strict=True))
    for clip_id, word in odd.items():
        (scene.data / f"{clip_id}.mp4").write_text(word)
    report = scene.run(workers=2, timeout=2)
    reasons = {"crash": "crashed", "hang": "timeout", "truncated": "truncated", "memory": "crashed"}
    assert {one.clip_id: one.reason for one in report.failures} == {
        clip_id: reasons[word] for clip_id, word in odd.items()
    }
    for clip_id in odd:
        (scene.data / f"{clip_id}.mp4").write_text(f"ok {clip_id}")
    scene.recover(odd)
