"""SIGKILL of workers and of drivers: nothing is lost but what was in flight, and nothing else is done twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from tests.factories.disturbing import CLIPS, Scene
from tests.factories.processes import wait_until


def wait_for_workers(scene: Scene, begun: int) -> None:
    """Wait until workers have begun so many clips."""
    wait_until(lambda: len(scene.workers()) >= begun)


def wait_for_files(scene: Scene, finished: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many feature files are there, or the process has ended."""
    wait_until(lambda: process.poll() is not None or len(list(scene.features.glob("*/[!.]*.safetensors"))) >= finished)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kills", [1, pytest.param(5, marks=pytest.mark.faults)], ids=["one worker", "workers again and again"]
)
def test_killed_workers_cost_the_clips_in_their_hands(scene, kills):
    # A clip takes half a second, so a worker that has just begun one is in the middle of it when it is killed.
    process = scene.start(workers=2, delay=0.5)
    killed: set[str] = set()
    for number in range(kills):
        wait_for_workers(scene, 3 * number + 2)
        clip_id, pid = scene.log.read_text().splitlines()[-1].split()
        os.kill(int(pid), signal.SIGKILL)
        killed.add(clip_id)
    answer = json.loads(process.communicate(timeout=120)[0])
    assert answer["exit"] == 3
    assert answer["complete"] == len(CLIPS) - kills
    (listed,) = scene.features.glob("*/failures.csv")
    failures = {line.split(",")[0]: line for line in listed.read_text().splitlines()[1:]}
    assert set(failures) == killed
    assert all("crashed" in line and "SIGKILL" in line for line in failures.values())
    assert max(scene.prepared().values()) == 1
    scene.recover(killed)
    assert not listed.exists()


def kill_after(scene: Scene, finished: int, temporary: Path) -> tuple[set[str], set[str]]:
    """Kill a driver when so many files are whole; return the clips that are whole then, and those in flight."""
    process = scene.start(workers=2, delay=0.05)
    wait_for_files(scene, finished, process)
    scene.kill(process)
    whole = scene.whole()
    return whole, set(scene.prepared()) - whole


@pytest.mark.slow
@pytest.mark.parametrize(
    "finished",
    [pytest.param(1, marks=pytest.mark.faults), 7, *(pytest.param(n, marks=pytest.mark.faults) for n in (15, 22))],
)
def test_a_killed_driver_loses_what_was_in_flight(scene, temporary, finished):
    whole, in_flight = kill_after(scene, finished, temporary)
    assert finished <= len(whole)
    scene.recover(set(CLIPS) - whole)
    twice = {clip_id for clip_id, count in scene.prepared().items() if count > 1}
    assert twice <= in_flight
    assert list(temporary.iterdir()) == []


@pytest.mark.faults
@pytest.mark.parametrize("step", ["flush", "journal"])
def test_a_driver_killed_between_two_steps_of_writing(scene, temporary, step):
    process = scene.start(step, workers=2, delay=0.02)
    wait_until((scene.root / "stalled").exists)
    scene.kill(process)
    whole = scene.whole()
    assert len(whole) == 3
    scene.recover(set(CLIPS) - whole)
    assert list(temporary.iterdir()) == []


@pytest.mark.faults
@pytest.mark.parametrize("seed", [0, 1])
def test_a_driver_killed_again_and_again_ends_all_the_same(scene, seed):
    random_number = random.Random(seed)
    in_flight: list[str] = []
    for _ in range(12):
        before, goal = scene.prepared(), len(scene.whole()) + random_number.randint(1, 6)
        process = scene.start(workers=2, delay=0.05)
        wait_for_files(scene, goal, process)
        if process.poll() is not None:
            process.communicate()
            break
        scene.kill(process)
        in_flight += set(scene.prepared() - before) - scene.whole()
    scene.recover(set(CLIPS) - scene.whole())
    prepared = scene.prepared()
    assert all(prepared[clip_id] == 1 + in_flight.count(clip_id) for clip_id in CLIPS)


@pytest.mark.faults
def test_a_driver_killed_while_it_looks_for_what_is_complete(scene):
    scene.run()
    next(scene.features.glob("*/journal.jsonl")).unlink()  # so that every file has to be verified
    process = scene.start(workers=2, delay=0.05)
    wait_until(lambda: any(scene.features.glob("*/journal.jsonl")))
    scene.kill(process)
    scene.recover([])


@pytest.mark.faults
def test_two_drivers_at_once_of_which_one_is_killed(scene):
    first, second = scene.start(workers=1, delay=0.1), scene.start(workers=1, delay=0.1)
    wait_until(lambda: len(scene.whole()) >= 6)
    whole = scene.whole()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    answer = json.loads(second.communicate(timeout=120)[0])
    assert (answer["exit"], answer["complete"]) == (0, len(CLIPS))
    prepared = scene.prepared()
    assert set(prepared) == set(CLIPS)
    assert not {clip_id for clip_id, count in prepared.items() if count > 1} & whole
    # In flight were no more than the first one's worker and what waited for the model.
    assert sum(prepared.values()) - len(CLIPS) <= 10
    scene.recover([])


@pytest.mark.faults  # tests/extraction has it in brief
def test_two_drivers_at_once_do_every_clip_once(scene):
    processes = [scene.start(workers=1, delay=0.02) for _ in range(2)]
    answers = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert [(answer["exit"], answer["complete"]) for answer in answers] == [(0, len(CLIPS))] * 2
    assert sum(answer["computed"] for answer in answers) == len(CLIPS)
    assert set(scene.prepared().values()) == {1}
    scene.recover([])
