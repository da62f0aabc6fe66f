"""How busy each stage is, while a run goes on and in its summary; a write that fails loses nothing that is done."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from numpy.typing import NDArray

from eri.cli.results import show_extraction
from eri.config import Runtime
from eri.extraction.rates import StageClock, StageShares
from eri.extraction.report import ExtractionEvent
from eri.extraction.run import extract
from eri.features.folder import FeatureFolder
from eri.features.records import Prepared
from eri.features.store import find_folder
from eri.utils.errors import StoreError
from tests.factories.extractors import fake_config, fake_extractors, fake_table

CLIPS = {f"{number:03d}": f"ok {number}" for number in range(40)}


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


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_events_tell_how_busy_the_stages_are(tmp_path, workers):
    events: list[ExtractionEvent] = []
    table, create = fake_table(tmp_path / "data", CLIPS), fake_extractors(delay=0.05)
    extract(
        table,
        [fake_config()],
        tmp_path / "features",
        Runtime(workers=workers),
        on_event=events.append,
        create=create,
    )
    told = [event for event in events if event.shares is not None]
    assert told
    assert len(told) < len([event for event in events if event.stage == "extract"])
    shares = told[-1].shares
    assert shares is not None
    assert shares.bound == "decode"
    assert 0 < shares.decode <= 1.05
