"""Feature files that are damaged while no one looks: verified, made anew, and no other with them."""

from __future__ import annotations

import json

import pytest

from eri.features.verify import clear_features, verify_features
from tests.factories.disturbing import CLIPS
from tests.factories.processes import wait_until
from tests.factories.store import alter


def test_corrupt_and_truncated_files_are_made_anew_and_no_others(scene):
    scene.run()
    folder = scene.folder()
    alter(folder.feature_path(CLIPS[3]))
    for clip_id, size in zip(CLIPS[7:10], (0, 7, 200), strict=True):
        path = folder.feature_path(clip_id)
        path.write_bytes(path.read_bytes()[:size])
    folder.feature_path(CLIPS[12]).write_bytes(folder.feature_path(CLIPS[13]).read_bytes())
    broken = {CLIPS[3], *CLIPS[7:10], CLIPS[12]}
    assert {finding.clip_id for finding in verify_features(scene.features).damaged} == broken
    scene.recover(broken)
    assert verify_features(scene.features).findings == ()


def test_what_was_cleared_away_is_made_anew(scene):
    scene.run()
    alter(scene.folder().feature_path(CLIPS[3]))
    assert len(clear_features(scene.features, remove=True).findings) == 1
    scene.recover([CLIPS[3]])


@pytest.mark.parametrize("content", [None, b"", b"\x00\xff no journal\n{", b'{"clip": "00001"}\n' * 50])
def test_a_spoilt_journal_costs_verifying_and_nothing_more(scene, content):
    scene.run()
    journal = scene.folder().path / "journal.jsonl"
    if content is None:
        journal.unlink()
    else:
        journal.write_bytes(content)
    scene.recover([])


@pytest.mark.faults
def test_files_that_are_damaged_while_a_run_is_at_work(scene):
    process = scene.start(workers=2, delay=0.1)
    wait_until(lambda: len(scene.whole()) >= 6)
    broken = sorted(scene.whole())[:3]
    for clip_id in broken:
        (path,) = scene.features.glob(f"*/{clip_id}.safetensors")
        alter(path)
    assert json.loads(process.communicate(timeout=120)[0])["exit"] == 0
    scene.recover(broken)


@pytest.mark.faults
def test_verifying_and_clearing_disturb_no_run_that_is_at_work(scene):
    process = scene.start(workers=2, delay=0.1)
    wait_until(lambda: len(scene.whole()) >= 2)
    looks = 0
    while process.poll() is None:
        report = clear_features(scene.features, remove=True)
        assert not any(finding.clip_id for finding in report.findings)
        looks += 1
    answer = json.loads(process.communicate()[0])
    assert looks > 3
    assert (answer["exit"], answer["computed"]) == (0, len(CLIPS))
    assert set(scene.prepared().values()) == {1}
    scene.recover([])
