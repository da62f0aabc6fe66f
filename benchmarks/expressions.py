"""Do the video models learn moving faces from scratch, and do they use time? Cross-validation on generated clips.

The clips are generated (:func:`eri.synthetic.expressions.generate_expression_set`), their pictures cached, and each
system, small and
with random weights, is cross-validated over folds of subjects. Three sets are scored: seven expressions; two
directions, rising and falling, whose clips hold the same frames in opposite order; and the control, those clips with
their frames in no order, where nothing is left to be recognised. WAR is the share of clips recognised.

    python -m benchmarks.expressions /tmp/expressions
    python -m benchmarks.expressions /tmp/expressions --systems cnn3d-optuna --sets directions shuffled

Clips and pictures that the folder has already are kept, models are trained anew. ``figures.json`` in it gets what was
measured.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Bar, Row
from eri.config import ExperimentConfig, Runtime, load_config
from eri.data import load_clips
from eri.data.clips import SPLITS, ClipTable
from eri.evaluation.cross_validation import CrossValidation, cv
from eri.evaluation.folds import FoldPlan
from eri.extraction.run import extract
from eri.metrics.recognition import Recognition
from eri.synthetic.expressions import generate_expression_set

FRAMES, SIDE = 12, 40
"""Pictures that are cached of a clip, and their height and width."""

SETS: dict[str, dict[str, Any]] = {
    "expressions": {"content": "expressions", "clips_per_class": 2},
    "directions": {"content": "directions", "clips_per_class": 6},
    "shuffled": {"content": "directions", "clips_per_class": 6, "shuffled": True},
}
"""What each set is made of."""

FOLDS = {"expressions": 4, "directions": 2, "shuffled": 2}
"""Folds of subjects of each set."""

_EVERYWHERE = [
    f"visual.frames={FRAMES}",
    f"visual.input_size={SIDE}",
    f"model.input_size={SIDE}",
    "visual.take=spread",
    "visual.faces.detector=none",  # the pictures show one face and little else
    "training.batch_size=16",
    "training.schedule=cosine",
    "training.warmup=2",
    "training.gradient_clip=1.0",
    "training.augmentation={flip: 0.5, shift: 0.05, brightness: [0.85, 1.15]}",
    "published=null",
]

SYSTEMS: dict[str, list[str]] = {
    "r2plus1d-scl": [
        "model.weights=random",
        "model.frames=9",  # three moments are left in the last stage, as many as its kernels see
        "training.batch_size=8",
        "training.epochs=14",
        "training.learning_rate=0.0005",
        "training.precision=bf16",
    ],
    "cnn3d-optuna": [
        f"model.frames={FRAMES}",
        "model.filters=[16, 32, 64, 128, 128]",
        "model.dense=[128]",
        "training.balancing=null",  # the classes have as many clips each
        "training.epochs=16",
        "training.learning_rate=0.001",
    ],
    "ceflnet": [
        "model.weights=random",
        "model.frames=8",
        "model.sub_videos=4",
        "model.sub_video_frames=3",
        "model.overlap=1",
        "model.starts=4",
        "training.epochs=22",
        "training.learning_rate=0.001",
    ],
}
"""The three systems, each as its shipped config and what makes it small."""


_BARS: dict[str, Bar] = {
    "expressions": Bar("at_least", 0.6, of="ours"),
    "directions": Bar("at_least", 0.8, of="ours"),
    "shuffled": Bar("at_most", 0.6, of="ours"),
}
"""Of WAR. By chance more than 0.6 of 240 shuffled clips are recognised once in a thousand times."""

_LONGEST = Bar("at_most", 600, of="ours")
"""Of the seconds of a cross-validation."""

_QUICK = ("training.epochs=1", "training.warmup=0")


@dataclass(frozen=True)
class Bench:
    """What all measurements share.

    Attributes:
        folder: Gets clips, pictures and models.
        subjects: People in each set.
        seed: Of clips, folds and models.
        workers: Models trained at a time, each on one core.
        changes: Settings of every system.
    """

    folder: Path
    subjects: int = 20
    seed: int = 0
    workers: int = 2
    changes: tuple[str, ...] = ()

    @property
    def runtime(self) -> Runtime:
        """Where extraction and training run."""
        return Runtime(device="cpu", workers=self.workers)

    def system(self, name: str) -> ExperimentConfig:
        """Return a shipped system at a size that two cores can train."""
        settings = [*_EVERYWHERE, *SYSTEMS[name], "training.patience=100", f"training.seed={self.seed}"]
        return load_config(name, [*settings, *self.changes])

    def features(self, name: str) -> Path:
        """Return where the pictures of a set are cached."""
        return self.folder / "features" / name

    def prepare(self, name: str) -> ClipTable:
        """Generate a set and cache its pictures, which are the same for all systems."""
        started = time.perf_counter()
        manifest = generate_expression_set(
            self.folder / name, subjects=self.subjects, seed=self.seed, workers=self.workers, **SETS[name]
        )
        generated = time.perf_counter()
        table = load_clips(manifest)
        extractors = list(self.system(next(iter(SYSTEMS))).extractors.values())
        report = extract(table, extractors, self.features(name), self.runtime, splits=SPLITS)
        assert not report.failures, report.failures
        print(
            f"{name}: {len(table.clips)} clips of {self.subjects} subjects, generated in {generated - started:.0f} s, "
            f"pictures cached in {time.perf_counter() - generated:.0f} s",
            flush=True,
        )
        return table

    def measure(self, system: str, name: str, table: ClipTable) -> Measured:
        """Cross-validate a system on a set."""
        started, computed = time.perf_counter(), _core_seconds()
        result = cv(
            self.system(system),
            table,
            self.features(name),
            self.folder / "runs",
            self.runtime,
            plan=FoldPlan(folds=FOLDS[name], seed=self.seed),
            splits=SPLITS,
            name=f"{system}-{name}",
            overwrite=True,
        )
        return Measured(result, time.perf_counter() - started, _core_seconds() - computed)


@dataclass(frozen=True, eq=False)
class Measured:
    """What a cross-validation gave, and what it cost.

    Attributes:
        result: Its scores.
        seconds: From its start to its end.
        computed: Seconds that all its processes computed together.
    """

    result: CrossValidation
    seconds: float
    computed: float

    @property
    def scores(self) -> Recognition:
        """The scores over all clips."""
        scores = self.result.metrics
        assert isinstance(scores, Recognition)
        return scores

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        folds = [fold.metrics.score for fold in self.result.folds]
        return {**self.scores.to_json(), "folds": folds, "seconds": self.seconds, "computed": self.computed}

    def show(self, title: str) -> None:
        """Print the figures."""
        scores, names = self.scores, list(self.scores.classes)
        interval = "" if scores.interval is None else f" ({scores.interval.low:.3f} to {scores.interval.high:.3f})"
        print(f"\n{title}: WAR {scores.war:.3f}{interval}, UAR {scores.uar:.3f}, chance {1 / len(names):.3f}")
        folds = " ".join(f"{fold.metrics.score:.3f}" for fold in self.result.folds)
        print(f"folds of subjects {folds}; {self.seconds:.0f} s, computed {self.computed:.0f} s in all processes")
        width = max(map(len, names))
        for name, row in zip(names, scores.confusion, strict=True):
            print(f"{name:>{width}} " + " ".join(f"{count:4d}" for count in row), flush=True)


def run(quick: bool) -> list[Row]:
    """Measure everything; see :mod:`benchmarks.__main__`."""
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), subjects=4, changes=_QUICK) if quick else Bench(Path(name))
        rows = []
        for chosen in SETS:
            table = bench.prepare(chosen)
            for system in SYSTEMS:
                measured = bench.measure(system, chosen, table)
                what = f"{system} on generated {chosen}"
                chance = f"chance {1 / len(table.task.classes):.2f}; UAR {measured.scores.uar:.3f}"
                rows.append(Row(f"{what}: WAR", (measured.scores.war,), (), "", _BARS[chosen], chance))
                computed = f"{measured.computed:.0f} s computed in all processes"
                rows.append(Row(f"{what}: {FOLDS[chosen]} folds", (measured.seconds,), (), "s", _LONGEST, computed))
    return rows


def _core_seconds() -> float:
    """Return the seconds that this process, its children and what they waited for have computed (Linux)."""
    here = Path("/proc/self")
    children = [pid for task in here.glob("task/*/children") for pid in task.read_text().split()]
    ticks = 0
    for process in [here, *(Path("/proc") / pid for pid in children)]:
        # After the name in parentheses, which may hold anything, the 12th to 15th field are times in ticks.
        ticks += sum(int(field) for field in (process / "stat").read_text().rpartition(")")[2].split()[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    for name, default in (("subjects", 20), ("seed", 0), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    bench = Bench(options.folder, options.subjects, options.seed, options.workers)
    load = os.getloadavg()[0]
    print(f"{bench.workers} models at a time; the load of the machine before is {load:.1f}", flush=True)
    figures: dict[str, Any] = {"load before": load}
    for name in options.sets:
        table = bench.prepare(name)
        for system in options.systems:
            measured = bench.measure(system, name, table)
            measured.show(f"{system} on {name}")
            figures[f"{system} on {name}"] = measured.to_json()
            (bench.folder / "figures.json").write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
