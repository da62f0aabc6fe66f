"""Training many models side by side, in processes or on a Ray cluster, and what is reported meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal, NamedTuple, TypeVar

import pandas as pd
import torch

from eri.config import ExperimentConfig, Runtime
from eri.data.clips import ClipTable, Split
from eri.evaluation.evaluate import predict
from eri.evaluation.folds import Fold
from eri.evaluation.search_space import Value
from eri.extraction.run import EngineName
from eri.training import TrainingEvent, train
from eri.utils.errors import RunError, WorkerError
from eri.utils.workers import WorkerPool, report_progress

Item = TypeVar("Item")
Result = TypeVar("Result")
Listener = Callable[[Any], None]


@dataclass(frozen=True)
class ModelTrained:
    """One model of a cross-validation is trained.

    Attributes:
        name: Name of its run folder.
        done: Models trained so far.
        total: Models to train.
        score: Its score on the clips that it was not fitted on; None where undefined.
        metric: What the score is: ``Pearson`` (the mean over labels) or ``WAR``.
    """

    name: str
    done: int
    total: int
    score: float | None
    metric: str = "Pearson"


@dataclass(frozen=True)
class TrialEnded:
    """One trial of a search is over.

    Attributes:
        number: Its place in the study.
        state: How it ended.
        values: Its values of the searched settings.
        value: Its score on the val split, or over the folds; None unless complete.
        error: Why it failed.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    values: dict[str, Value]
    value: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class StepDone:
    """One step of an ensemble or a comparison is done.

    Attributes:
        name: What was done, such as ``predictions of visual-seed1``.
        done: Steps done so far.
        total: All steps.
    """

    name: str
    done: int
    total: int


def ignore(event: object) -> None:
    """Take an event and do nothing with it."""


@dataclass(frozen=True, eq=False)
class Job:
    """One model to train: its system, with a seed of its own, what it is fitted on, and the name of its run folder."""

    config: ExperimentConfig
    fold: Fold
    name: str


class FoldPredictions(NamedTuple):
    """What a model predicts for the clips that chose its epoch, and for those that it was held out of."""

    chosen: pd.DataFrame
    held_out: pd.DataFrame


@dataclass(frozen=True, eq=False)
class JobContext:
    """What all jobs share; their run folders are in ``runs``."""

    table: ClipTable
    features: Path
    runs: Path
    runtime: Runtime

    def train(self, job: Job, on_event: Listener = ignore) -> FoldPredictions:
        """Train one model, or go on with it, and predict the clips that it was not fitted on."""

        def report(event: TrainingEvent) -> None:
            if event.kind != "batch":  # too many to send from another process
                on_event(event)

        table = fold_table(self.table, job.fold)
        run = train(
            job.config, table, self.features, self.runs, self.runtime, name=job.name, resume=True, on_event=report
        )
        return FoldPredictions(*(predict(run, table, self.features, part, self.runtime) for part in ("val", "test")))


def fold_table(table: ClipTable, fold: Fold) -> ClipTable:
    """Return the clips of a fold as a table: ``train`` to fit, ``val`` to choose the epoch, ``test`` to score."""
    parts: dict[Split, tuple[str, ...]] = {"train": fold.fit, "val": fold.choose, "test": fold.score}
    split_of = {clip_id: split for split, ids in parts.items() for clip_id in ids}
    clips = tuple(replace(clip, split=split_of[clip.id]) for clip in table if clip.id in split_of)
    return replace(table, clips=clips, pooled=True)


def run_jobs(
    work: Callable[[Item, Listener], Result],
    items: dict[str, Item],
    folder: Path,
    runtime: Runtime,
    on_event: Listener,
    *,
    engine: EngineName = "local",
    address: str | None = None,
) -> Iterator[tuple[str, Result]]:
    """Do a piece of work on each item, and yield the items' names and results in the order in which they end.

    So many ``runtime.workers`` work at a time. One is this process, with all its threads; several are processes that
    share the cores: small networks gain little from a second thread, and everything from a second process. A cluster
    has as many tasks as it has room for. ``on_event`` gets the events of the work, one at a time; a cluster's do not
    come back. When the work raises, what was being done elsewhere is ended, and what had been done is kept.
    """
    if engine == "ray":
        from eri.extraction.cluster import connect, open_tasks

        with connect(address) as cluster, open_tasks(cluster, runtime, folder) as tasks:
            submitted = {tasks.submit(work, item, ignore): name for name, item in items.items()}
            for future in as_completed(submitted):
                yield submitted[future], future.result()
        return
    workers = min(runtime.workers, len(items))
    if workers <= 1:
        for name, item in items.items():
            yield name, work(item, on_event)
        return
    lock = Lock()

    def relay(event: object) -> None:
        with lock:
            on_event(event)

    def report_home(item: Item) -> Result:
        return work(item, report_progress)

    with WorkerPool(report_home, workers, threads=max(1, torch.get_num_threads() // workers)) as pool:
        futures = {pool.submit(item, name, relay): name for name, item in items.items()}
        for future in as_completed(futures):
            try:
                result = future.result()
            except WorkerError as error:
                hint = "Is memory short? Go on with --resume and fewer --workers."
                raise RunError(f"{folder}: {error.message}", hint=hint) from error
            with lock:
                yield futures[future], result
