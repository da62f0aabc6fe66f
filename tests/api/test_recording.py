"""Curves for TensorBoard: what stands in them, and that training does not need the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from eri.api.progress import recording
from eri.extraction.rates import StageShares
from eri.extraction.report import ExtractionEvent
from eri.training.events import TrainingEvent

EPOCHS = [TrainingEvent("epoch", "a", epoch, 3, loss=1 / epoch, figure=0.1 * epoch, best=0.2) for epoch in (1, 2)]


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_training_draws_loss_and_figures_in_the_runs_folder(tmp_path):
    seen: list[object] = []
    with recording(seen.append, runs=tmp_path) as record:
        for event in (TrainingEvent("start", "a", 0, 3), *EPOCHS):
            record(event)
    assert len(seen) == 3
    values = read(tmp_path / "a" / "tensorboard")
    assert values["loss"] == [(1, 1.0), (2, 0.5)]
    assert [value for _, value in values["Pearson"]] == pytest.approx([0.1, 0.2])


def test_extraction_draws_speed_and_failures(tmp_path):
    with recording(lambda _: None, features=tmp_path) as record:
        record(ExtractionEvent("resnet50", "extract", 2, 4, computed=2, failed=1, seconds=1.5))
        shares = StageShares(decode=0.5, faces=0.25, model=1.0, write=0.0)
        record(ExtractionEvent("resnet50", "extract", 3, 4, computed=2, failed=1, seconds=1.5, shares=shares))
    busy = {"busy: decode": 0.5, "busy: faces": 0.25, "busy: model": 1.0, "busy: write": 0.0}
    assert read(tmp_path / ".tensorboard" / "resnet50") == {
        "clips a second": [(2, 2.0), (3, 2.0)],
        "failed": [(2, 1.0), (3, 1.0)],
        **{name: [(3, share)] for name, share in busy.items()},
    }


def test_without_the_package_events_only_pass(tmp_path, monkeypatch):
    monkeypatch.setattr("eri.api.progress.find_spec", lambda name: None)
    seen: list[object] = []
    with recording(seen.append, runs=tmp_path) as record:
        record(EPOCHS[0])
    assert seen == EPOCHS[:1]
    assert list(tmp_path.iterdir()) == []
