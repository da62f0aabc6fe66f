"""Worker processes that crash, hang, or meet what no one foresaw; and that change nothing about the numbers."""

import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eri.config import Runtime
from eri.extraction.pipeline import (
    WAITING,
    ClipPreparer,
    inputs_file,
    load_inputs,
    remove_temporary,
    scratch_folder,
    sweep_scratch_folders,
)
from eri.extraction.report import ExtractionReport, read_failures
from eri.extraction.run import extract
from eri.features.folder import FeatureFolder
from eri.features.store import find_folder
from eri.utils.errors import StoreError, WeightsError, WorkerStartError
from tests.factories.disks import small_disk
from tests.factories.extractors import (
    FakeExtractor,
    FakePreparer,
    UnloadablePreparer,
    fake_config,
    fake_extractors,
    fake_table,
    logged,
)
from tests.factories.processes import begin

MANY = {f"{number:03d}": f"{'long' if number % 5 == 0 else 'ok'} {number}" for number in range(24)}


def run(
    tmp_path: Path,
    contents: dict[str, str],
    workers: int,
    *,
    name: str = "features",
    timeout: float = 60.0,
    **options: Any,
) -> ExtractionReport:
    table = fake_table(tmp_path / "data", contents)
    runtime = Runtime(workers=workers, timeout=timeout)
    create = fake_extractors(tmp_path / "log")
    return extract(table, [fake_config()], tmp_path / name, runtime, create=create, **options)


def folder_in(tmp_path: Path, name: str = "features") -> FeatureFolder:
    return find_folder(tmp_path / name, fake_config())


def assert_nothing_left(folder: FeatureFolder) -> None:
    assert list(folder.path.glob(".*.tmp")) == []
    assert [path for path in (folder.path / ".claims").iterdir() if not path.name.startswith(".")] == []


@pytest.mark.slow
def test_workers_change_nothing_about_the_arrays(tmp_path):
    for workers in (0, 3):
        assert run(tmp_path, MANY, workers, name=f"features{workers}").exit_code == 0
    alone, shared = (folder_in(tmp_path, f"features{workers}") for workers in (0, 3))
    for clip_id in MANY:
        np.testing.assert_array_equal(shared.read(clip_id).embeddings, alone.read(clip_id).embeddings)
        np.testing.assert_array_equal(shared.read(clip_id).states, alone.read(clip_id).states)
    for folder in (alone, shared):
        assert_nothing_left(folder)


@pytest.mark.slow
def test_a_crash_and_a_hang_cost_their_own_clips(tmp_path):
    contents = {**MANY, "005": "crash", "011": "hang", "017": "crash", "020": "memory"}
    report = run(tmp_path, contents, 2, timeout=4)
    assert report.exit_code == 3
    assert [(failure.clip_id, failure.reason) for failure in report.failures] == [
        ("005", "crashed"),
        ("011", "timeout"),
        ("017", "crashed"),
        ("020", "crashed"),
    ]
    assert "SIGSEGV" in report.failures[0].message
    folder = folder_in(tmp_path)
    assert read_failures(folder) == report.failures
    assert report.extractors[0].computed == len(MANY) - 4
    assert_nothing_left(folder)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bug_names_its_clip_and_keeps_what_is_done(tmp_path, workers):
    contents = {**MANY, "012": "bug", "003": "truncated"}
    with pytest.raises(RuntimeError, match="clip 012") as caught:
        run(tmp_path, contents, workers)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    folder = folder_in(tmp_path)
    done = {path.stem for path in folder.path.glob("*.safetensors")}
    assert {"000", "001", "002", "004"} <= done
    assert "012" not in done
    assert [failure.clip_id for failure in read_failures(folder)] == ["003"]
    assert_nothing_left(folder)


def test_a_bug_of_the_model_names_its_clips(tmp_path):
    with pytest.raises(RuntimeError, match="unembeddable") as caught:
        run(tmp_path, {"a": "ok", "unembeddable": "ok"}, 0)
    assert isinstance(caught.value.__cause__, LookupError)


def test_an_error_that_cannot_be_sent_home_ends_the_run_and_names_the_clip(tmp_path):
    with pytest.raises(RuntimeError, match=r"clip z: .*UnsendableError"):
        run(tmp_path, {"a": "ok", "z": "unsendable"}, 1)
    assert_nothing_left(folder_in(tmp_path))


def test_workers_that_cannot_start_end_the_run_soon(tmp_path):
    table = fake_table(tmp_path / "data", {"a": "ok"})
    extractor = FakeExtractor("fake", "visual", {}, UnloadablePreparer("visual", 3))
    with pytest.raises(WorkerStartError, match="a library is broken"):
        extract(table, [fake_config()], tmp_path / "features", Runtime(workers=1), create=lambda *_: extractor)


def test_a_clip_that_another_run_never_finishes_fails_in_the_end(tmp_path):
    run(tmp_path, {"a": "ok"}, 0)
    lock = folder_in(tmp_path).lock_clip("b")
    assert lock is not None
    with lock:
        report = run(tmp_path, {"a": "ok", "b": "ok"}, 0, timeout=0.3, patience=0.0)
    assert [(failure.clip_id, failure.reason) for failure in report.failures] == [("b", "claimed")]
    assert run(tmp_path, {"a": "ok", "b": "ok"}, 0).exit_code == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_what_concerns_every_clip_stops_the_run_as_it_is(tmp_path, workers):
    with pytest.raises(WeightsError, match="Fetch them"):
        run(tmp_path, {"a": "ok", "b": "weights"}, workers)
    assert folder_in(tmp_path).read("a").embeddings.any()


@pytest.mark.slow
def test_workers_run_ahead_by_a_bounded_number_only(tmp_path):
    contents = {f"{number:03d}": "ok" for number in range(60)}
    table = fake_table(tmp_path / "data", contents)
    log = tmp_path / "log"
    ahead = []

    def on_event(event):
        if event.stage == "extract":
            time.sleep(0.01)
            ahead.append(len(logged(log)) - event.done)

    runtime = Runtime(workers=2)
    extract(table, [fake_config()], tmp_path / "features", runtime, create=fake_extractors(log), on_event=on_event)
    assert max(ahead) <= 2 * 2 + 8 + WAITING


def test_large_inputs_travel_through_a_file(tmp_path):
    table = fake_table(tmp_path / "data", {"a": "long", "b": "ok"})
    preparer = ClipPreparer(FakePreparer("visual", 5), tmp_path, pass_files=True)
    here = ClipPreparer(FakePreparer("visual", 5), tmp_path, pass_files=False)
    for clip_id, mapped in (("a", True), ("b", False)):
        prepared = preparer((table[clip_id], None))
        assert len(pickle.dumps(prepared)) < 4096
        inputs = load_inputs(prepared, tmp_path).inputs
        assert isinstance(inputs, np.memmap) == mapped == inputs_file(tmp_path, clip_id).exists()
        np.testing.assert_array_equal(inputs, here((table[clip_id], None)).inputs)
        remove_temporary(tmp_path, clip_id)
        assert not inputs_file(tmp_path, clip_id).exists()


def test_a_full_temporary_folder_says_which(tmp_path):
    table = fake_table(tmp_path / "data", {"a": "long"})
    small = tmp_path / "small"
    with small_disk(small, 64), pytest.raises(StoreError, match="TMPDIR"):
        ClipPreparer(FakePreparer("visual", 5), small, pass_files=True)((table["a"], None))


def test_a_source_that_changes_while_it_is_read_fails(tmp_path):
    report = run(tmp_path, {"a": "ok", "b": "moving"}, 0)
    assert [(failure.clip_id, failure.reason) for failure in report.failures] == [("b", "changed")]


@pytest.mark.slow
def test_scratch_folders_of_killed_runs_are_removed_and_those_of_living_ones_are_not(temporary):
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
    (temporary / "eri-scratch-odd.lock").mkdir()  # what cannot be removed stops nobody
    sweep_scratch_folders()
    with scratch_folder() as path:
        assert path.is_dir()
    assert [path.name for path in temporary.iterdir()] == ["eri-scratch-odd.lock"]


HOLD = """
import os, signal
from eri.extraction.pipeline import scratch_folder
with scratch_folder() as path:
    (path / "a.npy").write_text("decoded")
    print(path, flush=True)
    os.kill(os.getpid(), signal.{signal})
"""

COME_AND_GO = """
from eri.extraction.pipeline import scratch_folder, sweep_scratch_folders
for turn in range(100):
    sweep_scratch_folders()
    with scratch_folder() as scratch:
        path = scratch / "a.npy"
        path.write_text("decoded")
        sweep_scratch_folders()
        assert path.read_text() == "decoded", turn
"""


@pytest.mark.slow
def test_processes_that_begin_and_end_side_by_side_take_nothing_from_each_other(temporary):
    processes = [begin("-c", COME_AND_GO) for _ in range(3)]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert list(temporary.iterdir()) == []
