"""What a trial is judged by: the figure of its task on the val split, or over the folds of a cross-validation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from eri.config import ExperimentConfig, Runtime
from eri.data.clips import ClipTable
from eri.evaluation.cross_validation import figure_of
from eri.evaluation.evaluate import predict
from eri.evaluation.folds import Fold, FoldPlan, make_folds
from eri.evaluation.jobs import Bench, Job
from eri.training import TrainingEvent, train
from eri.utils.errors import ConfigError, DataError
from eri.utils.files import digest

UNDEFINED = -1.0
"""The value of a trial whose figure is undefined: worse than any."""


@dataclass(frozen=True)
class Step:
    """How far a trial is.

    Attributes:
        number: Epochs, or folds, that are done.
        figure: The best epoch's figure, or that over the folds so far.
        reachable: The largest figure that the trial can still end with.
    """

    number: int
    figure: float
    reachable: float = math.inf


Report = Callable[[Step], None]
"""Is told of each step; what it raises ends the trial."""


class Judge(Protocol):
    """One way to give a config its figure."""

    def judge(self, config: ExperimentConfig, runs: Path, name: str, on_step: Report) -> float:
        """Train a config, going on with what is there, and return its figure; larger is better.

        Args:
            config: The system.
            runs: Folder that the trial's folder stands in.
            name: Of that folder.
            on_step: Called after each step.

        Raises:
            ConfigError: The config cannot be.
            RunError: Training failed.
        """
        ...


@dataclass(frozen=True, eq=False)
class SplitJudge:
    """Trains on the train split and scores on the val split, which also chooses the epoch.

    Attributes:
        table: The data set.
        features: Folder of the feature store.
        runtime: Its device is used.
    """

    table: ClipTable
    features: Path
    runtime: Runtime

    def judge(self, config: ExperimentConfig, runs: Path, name: str, on_step: Report) -> float:
        """See :meth:`Judge.judge`; a step is an epoch."""

        def report(event: TrainingEvent) -> None:
            if event.kind == "epoch":
                on_step(Step(event.epoch, UNDEFINED if event.best is None else event.best))

        run = train(config, self.table, self.features, runs, self.runtime, name=name, resume=True, on_event=report)
        ids = [clip.id for clip in self.table.split("val") if clip.labels is not None]
        predictions = predict(run, self.table, self.features, "val", self.runtime).loc[ids]
        return _value(predictions, self.table)


@dataclass(frozen=True, eq=False)
class FoldJudge:
    """Trains on each fold, and scores all clips by the models that never met them.

    Of classes the figure still within reach is known after every fold: that of all remaining clips decided rightly. A
    search with a floor gives a trial up once that is below it, as Haddad et al. 2020 prune trials under 96.5 %.

    Attributes:
        table: The data set.
        features: Folder of the feature store.
        runtime: Its device is used.
        folds: The folds.
    """

    table: ClipTable
    features: Path
    runtime: Runtime
    folds: tuple[Fold, ...]

    def judge(self, config: ExperimentConfig, runs: Path, name: str, on_step: Report) -> float:
        """See :meth:`Judge.judge`; a step is a fold."""
        bench = Bench(self.table, self.features, runs / name, self.runtime)
        seed = config.training.seed
        total = sum(len(fold.score) for fold in self.folds)
        held_out: list[pd.DataFrame] = []
        figure = UNDEFINED
        for number, fold in enumerate(self.folds, start=1):
            job = Job(config, fold, seed, f"repeat{fold.repeat}-fold{fold.number}")
            held_out.append(bench.work_on(job).held_out)
            scored = pd.concat(held_out)
            figure = _value(scored, self.table)
            reachable = math.inf
            if self.table.task.kind == "classification":
                reachable = (figure * len(scored) + total - len(scored)) / total
            on_step(Step(number, figure, reachable))
        return figure


def _value(predictions: pd.DataFrame, table: ClipTable) -> float:
    figure = figure_of(predictions, table)
    return UNDEFINED if figure is None else figure


def create_judge(table: ClipTable, features: Path, runtime: Runtime, plan: FoldPlan | None) -> Judge:
    """Return what judges the trials of a search.

    Args:
        table: The data set.
        features: Folder of the feature store.
        runtime: Its device is used.
        plan: Folds of the labelled train and val clips; None is the two splits as they are.

    Raises:
        DataError: Folds that cannot be, or no labelled clip.
    """
    if plan is None:
        return SplitJudge(table, features, runtime)
    clips = tuple(clip for clip in table if clip.split in ("train", "val") and clip.labels is not None)
    if not clips:
        raise DataError(f"{table.name}: no clip of train or val has labels")
    folds = make_folds(clips, plan, classes=table.task.classes, official=table.folds)
    return FoldJudge(table, features, runtime, folds)


def describe_judge(judge: Judge) -> dict[str, Any]:
    """Return what must stay the same when a search is resumed, as JSON values."""
    if not isinstance(judge, FoldJudge):
        return {}
    return {"folds": digest([[fold.repeat, fold.name, fold.fit, fold.choose, fold.score] for fold in judge.folds])}


def refuse_unreachable(table: ClipTable, plan: FoldPlan | None, floor: float | None) -> None:
    """Refuse a floor where what is still within reach is not known.

    Raises:
        ConfigError: Says what a floor needs.
    """
    if floor is None:
        return
    if plan is None or table.task.kind != "classification":
        raise ConfigError(
            "a floor gives a trial up once it can no longer reach it, which only folds of a classification show",
            hint="Search over folds of classes (--folds, --leave-one-group-out), or use --pruning median.",
        )
    if not 0 <= floor <= 1:
        raise ConfigError(f"the floor {floor:g} is a share of the clips", hint="Give 0.965 for 96.5 %.")
