"""Scratch folders outlive nobody, and runs that begin and end side by side do not trip over each other's."""

from pathlib import Path

from eri.extraction.scratch import ScratchFolder, sweep_scratch_folders
from tests.factories.processes import begin

HOLD = """
import os, signal
from eri.extraction.scratch import ScratchFolder
scratch = ScratchFolder()
scratch.file("a").write_text("decoded")
print(scratch.path, flush=True)
os.kill(os.getpid(), signal.{signal})
"""

COME_AND_GO = """
from eri.extraction.scratch import ScratchFolder, sweep_scratch_folders
for turn in range(400):
    sweep_scratch_folders()
    with ScratchFolder() as scratch:
        path = scratch.file("a")
        path.write_text("decoded")
        sweep_scratch_folders()
        assert path.read_text() == "decoded", turn
"""


def test_the_folder_of_a_killed_process_is_swept_away_and_one_that_lives_keeps_its_own(temporary):
    begin("-c", HOLD.format(signal="SIGKILL")).communicate(timeout=60)
    living = begin("-c", HOLD.format(signal="SIGSTOP"))
    try:
        assert living.stdout is not None
        path = Path(living.stdout.readline().strip())
        sweep_scratch_folders()
        assert sorted(left.name for left in temporary.iterdir()) == [path.name, f"{path.name}.lock"]
        assert (path / "a.npy").read_text() == "decoded"
    finally:
        living.kill()
        living.communicate()
    sweep_scratch_folders()
    assert list(temporary.iterdir()) == []


def test_processes_that_begin_and_end_side_by_side_take_nothing_from_each_other(temporary):
    processes = [begin("-c", COME_AND_GO) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert list(temporary.iterdir()) == []


def test_what_cannot_be_removed_is_left_and_stops_nobody(temporary):
    (temporary / "eri-scratch-odd.lock").mkdir()
    sweep_scratch_folders()
    with ScratchFolder() as scratch:
        assert scratch.path.is_dir()
    assert [path.name for path in temporary.iterdir()] == ["eri-scratch-odd.lock"]
