"""Training many models of one data set side by side: in this process, in worker processes, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import pandas as pd
import torch

from eri.config import ExperimentConfig, Runtime
from eri.data.clips import ClipTable, Split
from eri.evaluation.evaluate import predict
from eri.evaluation.events import ignore
from eri.evaluation.folds import Fold
from eri.extraction.run import EngineName
from eri.training import TrainingEvent, train
from eri.utils.errors import RunError, WorkerError
from eri.utils.workers import WorkerPool, report_progress

Item = TypeVar("Item")
Result = TypeVar("Result")
Listener = Callable[[Any], None]


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


@dataclass(frozen=True)
class Executor:
    """Where models are trained, and how many at a time; a Ray cluster has as many as it has room for.

    Several workers are processes that share the cores and the packed, memory-mapped features: small networks gain
    little from a second thread, and everything from a second process.
    """

    workers: int = 1
    engine: EngineName = "local"
    address: str | None = None  # of the cluster, see eri.extraction.cluster.connect

    def run(
        self,
        work: Callable[[Item, Listener], Result],
        items: dict[str, Item],
        folder: Path,
        runtime: Runtime,
        on_event: Listener = ignore,
    ) -> Iterator[tuple[str, Result]]:
        """Do a piece of work on each item, and yield the items' names and results in the order in which they end.

        ``on_event`` gets the events of the work, one at a time; a cluster's do not come back. When the work raises,
        what was being done elsewhere is ended, and what had been done is kept.
        """
        if self.engine == "ray":
            from eri.extraction.cluster import connect, open_tasks

            with connect(self.address) as cluster, open_tasks(cluster, runtime, folder) as tasks:
                submitted = {tasks.submit(work, item, ignore): name for name, item in items.items()}
                for future in as_completed(submitted):
                    yield submitted[future], future.result()
        elif self.workers <= 1 or len(items) <= 1:
            for name, item in items.items():
                yield name, work(item, on_event)
        else:
            yield from self._run_in_processes(work, items, folder, on_event)

    def _run_in_processes(
        self, work: Callable[[Item, Listener], Result], items: dict[str, Item], folder: Path, on_event: Listener
    ) -> Iterator[tuple[str, Result]]:
        workers = min(self.workers, len(items))
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
                    raise RunError(
                        f"{folder}: {error.message}",
                        hint="Is memory short? Go on with --resume and fewer --workers.",
                    ) from error
                with lock:
                    yield futures[future], result
