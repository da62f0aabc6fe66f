"""How well `eri plan` foretells an extraction of Hume-Reaction's number of clips.

A run is timed whole, model and processes included, and extended in proportion. Against it stand the plan from the rates
that this run left beside its features, and, for information, plans from samples that `eri plan --measure` would take:
one before and one after the run, added up, with its number of workers, and one with a single worker. Weights are random
and clips are generated, which changes no time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.extraction import Scale, make_clips
from benchmarks.harness import Bar, Row
from eri.config import ImageConfig, Runtime
from eri.data.clips import ClipTable
from eri.extraction.planning import measure_rates, plan_extraction, stored_rates
from eri.extraction.rates import StageRates
from eri.extraction.run import extract

CLIPS = 25_067
"""Those of Hume-Reaction."""

FULL = Scale("resnet18", 112, clips=500, seconds=1.5, rate=10, width=320, height=240, frames=8, rounds=1)
QUICK = Scale("resnet18", 64, clips=6, seconds=1.0, rate=10, width=160, height=120, frames=4, rounds=1)


def run(quick: bool) -> list[Row]:
    """Plan from a run and from samples, and compare."""
    scale = QUICK if quick else FULL
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "clips").mkdir()
        table = make_clips(root / "clips", scale)
        config = scale.config()
        count = 4 if quick else 64
        before = _sample(table, config, 2, count)
        report = extract(table, [config], root / "features", Runtime(device="cpu", workers=2)).extractors[0]
        samples = before + _sample(table, config, 2, count)
        alone = _sample(table, config, 1, count)
        ((own,),) = stored_rates(root / "features", [config])
    assert report.computed == len(table), f"{len(report.failures)} clips failed"
    hours = report.seconds / len(table) * CLIPS / 3600
    measured = f"a run of {len(table)} clips in {report.seconds:.0f} s extended"
    return [
        _row(f"plan from its rates and {measured}", own, hours, Bar("at_most", 30, of="ours")),
        _row(f"plan from two samples of {count} and {measured}", samples, hours),
        _row(f"plan for 2 workers from a sample of {count} with 1 and {measured}", alone, hours),
    ]


def _sample(table: ClipTable, config: ImageConfig, workers: int, count: int) -> StageRates:
    (rates,) = measure_rates(table, [config], Runtime(device="cpu", workers=workers), sample=count)
    return rates


def _row(name: str, rates: StageRates, hours: float, bar: Bar | None = None) -> Row:
    """Return by how much a plan and the measured hours differ, in percent of the lesser."""
    planned = plan_extraction([rates], CLIPS, workers=2)
    apart = 100 * (max(planned.hours, hours) / min(planned.hours, hours) - 1)
    note = f"{CLIPS:,} clips: {planned.hours:.2f} h planned, {hours:.2f} h; bound: {planned.extractors[0].bound}"
    return Row(f"{name}: apart by", (apart,), (), "%", bar, note)
