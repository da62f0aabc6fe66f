"""Training many models of one data set side by side: processes that share the packed, memory-mapped features."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch

from eri.config import ExperimentConfig, Runtime
from eri.data.clips import ClipTable, Split
from eri.errors import RunError
from eri.evaluation import predict
from eri.selection.folds import Fold
from eri.training import train


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
        chosen: Predictions of the clips that chose the epoch, see :func:`eri.evaluation.predict`.
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


def run_jobs(bench: Bench, jobs: Sequence[Job], workers: int) -> Iterator[tuple[Job, Trained]]:
    """Work on jobs and yield what each gave, in the order in which they end.

    One worker is this process, with all its threads. Several are processes that share the cores: small networks gain
    little from a second thread, and everything from a second process.

    Args:
        bench: What they share.
        jobs: The models.
        workers: Processes.

    Raises:
        EriError: A model cannot be trained; those that were are kept.
        RunError: A process was killed.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            yield job, bench.work_on(job)
        return
    with processes(workers, bench.runs) as pool:
        futures = {pool.submit(bench.work_on, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()


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
    context = multiprocessing.get_context("forkserver")
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
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
