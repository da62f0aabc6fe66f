"""The closing summary says how busy each stage was, and writing in a thread of its own loses nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from numpy.typing import NDArray

from eri.cli.results import show_extraction
from eri.config import Runtime
from eri.extraction.pipeline import WritingThread
from eri.extraction.run import StageShares, extract
from eri.extraction.stages import StageClock
from eri.features.folder import FeatureFolder
from eri.features.index import Entry, FileStamp
from eri.features.records import Prepared
from eri.features.sources import Source
from eri.features.store import find_folder
from eri.utils.errors import StoreError
from tests.factories.extractors import fake_config, fake_extractors, fake_table
from tests.factories.processes import wait_until

CLIPS = {f"{number:03d}": f"ok {number}" for number in range(40)}


_ENTRIES = [Entry(str(number), FileStamp(0, 0, 0), "", Source(""), (1,), 1) for number in range(60)]


def test_results_come_in_order_and_on_the_thread_that_submits():
    settled: list[tuple[Entry, int]] = []
    with WritingThread(lambda one: settled.append((one, threading.get_ident()))) as writing:
        for one in _ENTRIES:
            writing.submit(partial(replace, one))
        writing.finish()
    assert [one for one, _ in settled] == _ENTRIES
    assert {thread for _, thread in settled} == {threading.get_ident()}


def test_no_more_than_a_bounded_number_waits():
    gate = threading.Event()
    waiting: list[None] = []

    def write() -> Entry:
        gate.wait(60)
        return _ENTRIES[0]

    def fill(writing: WritingThread) -> None:
        for _ in range(40):
            writing.submit(write)
            waiting.append(None)

    with WritingThread(lambda _: None) as writing:
        thread = threading.Thread(target=fill, args=(writing,))
        thread.start()
        wait_until(lambda: len(waiting) >= 4)
        thread.join(0.3)
        assert len(waiting) < 40
        gate.set()
        thread.join()
        writing.finish()
    assert len(waiting) == 40


def test_what_was_submitted_is_written_when_the_block_fails():
    written: list[int] = []

    def write(number: int) -> Entry:
        time.sleep(0.01)
        written.append(number)
        return _ENTRIES[number]

    def fail() -> None:
        with WritingThread(lambda _: None) as writing:
            for number in range(8):
                writing.submit(partial(write, number))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert written == list(range(8))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_write_that_fails_ends_the_run_and_keeps_what_is_done(tmp_path, monkeypatch, workers):
    write, calls = FeatureFolder.write, []

    def fail_later(self, clip_id, *arguments, **options):
        calls.append(clip_id)
        if len(calls) == 20:
            raise StoreError("the disk is full")
        return write(self, clip_id, *arguments, **options)

    monkeypatch.setattr(FeatureFolder, "write", fail_later)
    table, create = fake_table(tmp_path / "data", CLIPS), fake_extractors()
    with pytest.raises(StoreError, match="disk is full"):
        extract(table, [fake_config()], tmp_path / "features", Runtime(workers=workers), create=create)
    monkeypatch.undo()
    folder = find_folder(tmp_path / "features", fake_config())
    lost = calls[19]
    assert not folder.feature_path(lost).exists()
    assert len(folder.entries(CLIPS)) >= 19
    assert [path for path in (folder.path / ".claims").iterdir() if not path.name.startswith(".")] == []
    report = extract(table, [fake_config()], tmp_path / "features", Runtime(workers=0), create=create)
    assert report.exit_code == 0


def test_shares_of_workers_are_means_over_them():
    clock = StageClock()
    clock.add("decode", 12.0)
    clock.add("faces", 4.0)
    clock.add("model", 3.0)
    with clock.timing("write"):
        pass
    shares = clock.shares(10.0, workers=2)
    assert shares is not None
    assert (shares.decode, shares.faces, shares.model) == pytest.approx((0.6, 0.2, 0.3))
    assert shares.bound == "decode"
    assert StageClock().shares(10.0, workers=2) is None


@pytest.mark.parametrize(("delay", "bound"), [(0.05, "decode"), (0.0, "model")])
def test_the_summary_names_the_stage_that_bounds_the_run(tmp_path, monkeypatch, capsys, delay, bound):
    create = fake_extractors(delay=delay)

    def slow(config, runtime):
        extractor = create(config, runtime)
        embed = extractor.embed

        def linger(prepared: Sequence[Prepared]) -> list[NDArray[Any]]:
            time.sleep(0.05 * len(prepared))
            return embed(prepared)

        if not delay:
            monkeypatch.setattr(extractor, "embed", linger)
        return extractor

    table = fake_table(tmp_path / "data", dict(list(CLIPS.items())[:12]))
    report = extract(table, [fake_config()], tmp_path / "features", Runtime(workers=0), create=slow)
    stages = report.extractors[0].stages
    assert isinstance(stages, StageShares)
    assert stages.bound == bound
    assert 0.5 < getattr(stages, bound) <= 1.01
    show_extraction(report)
    assert f"busy {stages}; bottleneck: " in capsys.readouterr().out
    again = extract(table, [fake_config()], tmp_path / "features", Runtime(workers=0), create=slow)
    assert again.extractors[0].stages is None
