"""Training many models of one data set side by side, in processes of this machine or as tasks of a Ray cluster.

Processes of one machine share the packed, memory-mapped features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd
import torch

from eri.config import ExperimentConfig, Runtime
from eri.data.clips import ClipTable, Split
from eri.evaluation.evaluate import predict
from eri.evaluation.folds import Fold
from eri.extraction.run import EngineName
from eri.training import train
from eri.utils.errors import RunError
from eri.utils.workers import end_with_parent, process_context

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Job:
    """One model of a cross-validation.

    Attributes:
        config: With its own seed.
        fold: What it is fitted on.
        seed: Of the config.
        name: Of its run folder.
    """

    config: ExperimentConfig
    fold: Fold
    seed: int
    name: str


@dataclass(frozen=True, eq=False)
class Trained:
    """What a job gave.

    Attributes:
        chosen: Predictions of the clips that chose the epoch, see :func:`eri.evaluation.evaluate.predict`.
        held_out: Predictions of the clips that the model never met.
    """

    chosen: pd.DataFrame
    held_out: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Bench:
    """What all jobs share.

    Attributes:
        table: The clips, see :func:`pool`.
        features: Folder of the feature store.
        runs: Folder that their run folders stand in.
        runtime: Its device is used.
    """

    table: ClipTable
    features: Path
    runs: Path
    runtime: Runtime

    def work_on(self, job: Job) -> Trained:
        """Train one model, or go on with it, and predict the clips that it was not fitted on."""
        parted = part(self.table, job.fold)
        run = train(job.config, parted, self.features, self.runs, self.runtime, name=job.name, resume=True)
        chosen, held_out = (predict(run, parted, self.features, split, self.runtime) for split in ("val", "test"))
        return Trained(chosen, held_out)


def part(table: ClipTable, fold: Fold) -> ClipTable:
    """Return the clips of a fold as a table: ``train`` to fit, ``val`` to choose the epoch, ``test`` to score."""
    parts: tuple[tuple[Split, tuple[str, ...]], ...] = (
        ("train", fold.fit),
        ("val", fold.choose),
        ("test", fold.score),
    )
    split_of = {clip_id: split for split, ids in parts for clip_id in ids}
    clips = tuple(replace(clip, split=split_of[clip.id]) for clip in table if clip.id in split_of)
    return replace(table, clips=clips, pooled=True)


def run_jobs(bench: Bench, jobs: Sequence[Job], team: Team) -> Iterator[tuple[Job, Trained]]:
    """Work on jobs and yield what each gave, in the order in which they end.

    Args:
        bench: What they share.
        jobs: The models.
        team: Who works on them.

    Raises:
        EriError: A model cannot be trained; those that were are kept.
        RunError: A process was killed.
    """
    if team.alone or (len(jobs) == 1 and team.engine == "local"):
        for job in jobs:
            yield job, bench.work_on(job)
        return
    with team.at_work(bench.runs, bench.runtime, len(jobs)) as (pool, _):
        futures = {pool.submit(bench.work_on, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()


class Pool(Protocol):
    """Where pieces of work are done at the same time."""

    def submit(self, work: Callable[..., Result], /, *arguments: Any) -> Future[Result]:
        """Have a piece of work done."""
        ...


@dataclass(frozen=True)
class Team:
    """Who trains models at the same time.

    One worker of this machine is this process, with all its threads. Several are processes that share the cores: small
    networks gain little from a second thread, and everything from a second process.

    Attributes:
        workers: Models at a time; on a cluster as many as it has room for.
        engine: ``local``, or ``ray`` for tasks of a Ray cluster.
        address: Of that cluster, see :func:`eri.extraction.cluster.connect`.
    """

    workers: int = 1
    engine: EngineName = "local"
    address: str | None = None

    @property
    def alone(self) -> bool:
        """Whether it is this process only."""
        return self.engine == "local" and self.workers <= 1

    @contextmanager
    def at_work(self, folder: Path, runtime: Runtime, most: int) -> Iterator[tuple[Pool, int]]:
        """Give the pool for the length of a block, and how many pieces it does at a time.

        Args:
            folder: What is worked on.
            runtime: Its device is used.
            most: No more pieces than that are needed at a time.

        Raises:
            RunError: A process was killed.
            ClusterError: The cluster cannot be used.
        """
        if self.engine == "local":
            workers = min(self.workers, most)
            with processes(workers, folder) as pool:
                yield pool, workers
            return
        from eri.extraction.cluster import connect, open_tasks

        with connect(self.address) as cluster, open_tasks(cluster, runtime, folder) as tasks:
            yield tasks, min(tasks.room, most)


@contextmanager
def processes(workers: int, folder: Path) -> Iterator[ProcessPoolExecutor]:
    """Give processes that share the cores, for the length of a block; what is not begun at its end is dropped.

    Args:
        workers: How many.
        folder: What they work on, for messages.

    Raises:
        RunError: A process was killed.
    """
    threads = max(1, torch.get_num_threads() // workers)
    # A fork of this process would share torch's locks and CUDA state; one server imports torch for all of them.
    context = process_context("forkserver")
    context.set_forkserver_preload([__name__, "lightning_fabric"])
    with ProcessPoolExecutor(workers, context, initializer=start_worker, initargs=(threads,)) as pool:
        try:
            yield pool
        except BrokenProcessPool:
            raise RunError(
                f"{folder}: a process that trained a model was killed",
                hint="Is memory short? Go on with --resume and fewer --workers.",
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def start_worker(threads: int) -> None:
    """Make a worker process compute on its share of the cores, and end with the process that started it."""
    torch.set_num_threads(threads)
    end_with_parent()
