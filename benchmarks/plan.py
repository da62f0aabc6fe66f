"""How well `eri plan` foretells an extraction: from a small sample, against a longer run that was timed whole.

A sample of clips is measured as `eri plan --measure` does it, and the plan for Hume-Reaction's number of clips is set
against the time of a run over many more, extended in proportion. Weights are random and clips are generated, which
changes no time. A second row asks the same of another number of workers than the sample had.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from benchmarks.extraction import Scale, make_clips
from benchmarks.harness import Bar, Row
from eri.config import FaceConfig, ImageConfig, Runtime
from eri.data.clips import ClipTable
from eri.extraction import StageRates, extract
from eri.planning import measure_rates, plan_extraction

CLIPS = 25_067
"""Those of Hume-Reaction."""

FULL = Scale("resnet18", 112, clips=500, seconds=1.5, rate=10, width=320, height=240, frames=8, rounds=1)
QUICK = Scale("resnet18", 64, clips=6, seconds=1.0, rate=10, width=160, height=120, frames=4, rounds=1)


def run(quick: bool) -> list[Row]:
    """Plan from a sample, extract all, and compare."""
    scale = QUICK if quick else FULL
    torch.set_num_threads(1 if quick else torch.get_num_threads())
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "clips").mkdir()
        table = make_clips(root / "clips", scale)
        faces = FaceConfig(detector="none")
        config = ImageConfig(
            extractor=scale.network, weights="random", frames=scale.frames, input_size=scale.side, faces=faces
        )
        sampled = {workers: _sample(table, config, workers, quick) for workers in (1, 2)}
        longer = _timed(table, config, root / "features")
    plans = {workers: plan_extraction([rates], CLIPS, workers=2).hours for workers, rates in sampled.items()}
    note = (
        f"our plan from {sampled[2].clips} clips: {plans[2]:.2f} h; the run of {len(table)} clips, "
        f"{longer * len(table):.0f} s, extended: {longer * CLIPS / 3600:.2f} h"
    )
    return [
        Row(
            "plan / measured, same workers",
            (plans[2] * 3600,),
            (longer * CLIPS,),
            "s",
            Bar("at_most", 1.3, of="growth"),
            note,
        ),
        Row(
            "measured / plan, same workers",
            (longer * CLIPS,),
            (plans[2] * 3600,),
            "s",
            Bar("at_most", 1.3, of="growth"),
            "",
        ),
        Row("plan from 1 worker for 2 / measured with 2", (plans[1] * 3600,), (longer * CLIPS,), "s"),
    ]


def _sample(table: ClipTable, config: ImageConfig, workers: int, quick: bool) -> StageRates:
    (rates,) = measure_rates(table, [config], Runtime(device="cpu", workers=workers), sample=4 if quick else 64)
    return rates


def _timed(table: ClipTable, config: ImageConfig, features: Path) -> float:
    """Return the seconds a clip of a whole extraction takes, the start of its processes included."""
    report = extract(table, [config], features, Runtime(device="cpu", workers=2)).extractors[0]
    assert report.computed == len(table), f"{len(report.failures)} clips failed"
    return report.seconds / len(table)
