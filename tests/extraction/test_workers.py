"""Worker processes that crash, hang, or meet what no one foresaw; and that change nothing about the numbers."""

import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from eri.config import Runtime
from eri.extraction.pipeline import WAITING
from eri.extraction.run import extract, read_failures
from eri.extraction.scratch import ScratchFolder
from eri.extraction.worker import Decoded, park, unpark
from eri.features.folder import FeatureFolder
from eri.features.records import Prepared
from eri.features.sources import Source
from eri.features.store import find_folder
from eri.utils.errors import StoreError, WeightsError, WorkerError
from tests.factories.disks import small_disk
from tests.factories.extractors import (
    FakeExtractor,
    UnloadablePreparer,
    fake_config,
    fake_extractors,
    fake_table,
    logged,
    mapped,
)

MANY = {f"{number:03d}": f"{'long' if number % 5 == 0 else 'ok'} {number}" for number in range(24)}


def run(tmp_path: Path, contents: dict[str, str], workers: int, *, name: str = "features", timeout: float = 60.0):
    table = fake_table(tmp_path / "data", contents)
    runtime = Runtime(workers=workers, timeout=timeout)
    return extract(table, [fake_config()], tmp_path / name, runtime, create=fake_extractors(tmp_path / "log"))


def folder_in(tmp_path: Path, name: str = "features") -> FeatureFolder:
    return find_folder(tmp_path / name, fake_config())


def assert_nothing_left(folder: FeatureFolder) -> None:
    assert list(folder.path.glob(".*.tmp")) == []
    assert [path for path in (folder.path / ".claims").iterdir() if not path.name.startswith(".")] == []


def test_no_one_and_four_workers_give_the_same_arrays(tmp_path):
    for workers in (0, 1, 4):
        assert run(tmp_path, MANY, workers, name=f"features{workers}").exit_code == 0
    alone, one, four = (folder_in(tmp_path, f"features{workers}") for workers in (0, 1, 4))
    for clip_id in MANY:
        expected = alone.read(clip_id)
        for folder in (one, four):
            np.testing.assert_array_equal(folder.read(clip_id).embeddings, expected.embeddings)
            np.testing.assert_array_equal(folder.read(clip_id).states, expected.states)
    for folder in (alone, one, four):
        assert_nothing_left(folder)


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


def test_an_error_that_cannot_be_sent_home_ends_the_run_and_names_the_clips(tmp_path):
    with pytest.raises(WorkerError, match=r"(?s)in work were:.*z.*--workers 0"):
        run(tmp_path, {"a": "ok", "z": "unsendable"}, 1)
    assert_nothing_left(folder_in(tmp_path))


def test_workers_that_cannot_start_end_the_run_soon(tmp_path, capfd):
    table = fake_table(tmp_path / "data", {"a": "ok"})
    extractor = FakeExtractor("fake", "visual", {}, UnloadablePreparer("visual", 3))
    with pytest.raises(WorkerError, match="__main__"):
        extract(table, [fake_config()], tmp_path / "features", Runtime(workers=1), create=lambda *_: extractor)
    assert "a library is broken" in capfd.readouterr().err


def test_a_clip_that_another_run_never_finishes_fails_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("eri.extraction.work._GRACE", 0.0)
    run(tmp_path, {"a": "ok"}, 0)
    claim = folder_in(tmp_path).lock_clip("b")
    assert claim is not None
    with claim:
        report = run(tmp_path, {"a": "ok", "b": "ok"}, 0, timeout=0.3)
    assert [(failure.clip_id, failure.reason) for failure in report.failures] == [("b", "claimed")]
    assert run(tmp_path, {"a": "ok", "b": "ok"}, 0).exit_code == 0


@pytest.mark.parametrize("workers", [0, 1])
def test_what_concerns_every_clip_stops_the_run_as_it_is(tmp_path, workers):
    with pytest.raises(WeightsError, match="Fetch them"):
        run(tmp_path, {"a": "ok", "b": "weights"}, workers)
    assert folder_in(tmp_path).read("a").embeddings.any()


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


def test_a_worker_that_dies_with_the_pools_locks_costs_its_own_clip(tmp_path, monkeypatch):
    monkeypatch.setattr("eri.extraction.pool._STALLED", 1.0)
    report = run(tmp_path, {"a": "poison", "b": "ok", "c": "ok"}, 1, timeout=3)
    assert [(failure.clip_id, failure.reason) for failure in report.failures] == [("a", "crashed")]
    assert report.extractors[0].complete == 2


def test_large_inputs_travel_through_a_file(tmp_path):
    source = Source("a", size=1, mtime_ns=2, sha256="")
    array = np.arange(20_000, dtype=np.float32)
    times, states = np.zeros(1), np.zeros(1, np.uint8)
    with ScratchFolder() as scratch:
        parked = park(Decoded(Prepared("a", mapped(array)[2:], times, states), source), scratch.file("a"))
        assert len(pickle.dumps(parked)) < 4096
        inputs = unpark(parked).inputs
        assert isinstance(inputs, np.memmap)
        np.testing.assert_array_equal(inputs, array[2:])
        small = park(Decoded(Prepared("b", mapped(array)[:3], times, states), source), scratch.file("b"))
        np.testing.assert_array_equal(unpark(small).inputs, array[:3])
        assert len(pickle.dumps(small)) < 4096
        assert not scratch.file("b").exists()
    assert not scratch.path.exists()


def test_a_full_temporary_folder_says_which(tmp_path):
    source = Source("a", size=1, mtime_ns=2, sha256="")
    prepared = Prepared("a", np.zeros(200_000, np.float32), np.zeros(1), np.zeros(1, np.uint8))
    with small_disk(tmp_path, 64), pytest.raises(StoreError, match="TMPDIR"):
        park(Decoded(prepared, source), tmp_path / "a.npy")


def test_a_source_that_changes_while_it_is_read_fails(tmp_path, monkeypatch):
    from tests.factories import extractors

    genuine = extractors.misbehave

    def overwrite(word, path):
        if word == "moving":
            path.write_text("something longer than before")
        genuine(word, path)

    monkeypatch.setattr(extractors, "misbehave", overwrite)
    report = run(tmp_path, {"a": "ok", "b": "moving"}, 0)
    assert [(failure.clip_id, failure.reason) for failure in report.failures] == [("b", "changed")]
