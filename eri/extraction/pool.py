"""The clips on their way to the model: prepared in worker processes, a bounded number ahead, each on a timeout."""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from pebble import ProcessExpired, ProcessPool

from eri.config import Runtime
from eri.data.clips import Clip
from eri.extraction.worker import TIMED_OUT, Decoded, media_folder, prepare_clip, start_worker, work_on
from eri.features.locks import Lock
from eri.features.records import Preparer
from eri.features.sources import Source
from eri.utils.errors import WorkerError

_WORKER = "pebble_pool_worker"
"""The name that pebble gives to its worker processes."""

_HEARTBEAT = 1.0
"""Seconds after which a pool that has nothing to show is asked whether it still runs."""

_STALLED = 120.0
"""Seconds beyond the timeout without any answer after which the pool is taken for broken: a process that is killed at
the wrong moment takes a lock of the pool to its grave, and the timeouts with it."""

_BREAKDOWNS = 3
"""How often the pool may break down while a clip is in it."""


@dataclass(frozen=True, eq=False)
class Job:
    """One claimed clip.

    Attributes:
        clip: The clip.
        source: What its features are made from.
        claim: The claim on it, held until its features are written or it failed.
        scratch: File that a worker may park its inputs in.
    """

    clip: Clip
    source: Source | None
    claim: Lock
    scratch: Path

    def close(self) -> None:
        """Remove what was parked and give the claim up."""
        self.scratch.unlink(missing_ok=True)
        shutil.rmtree(media_folder(self.scratch), ignore_errors=True)  # of a worker that was killed
        self.claim.release()


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a job: a decoded clip or an error."""

    job: Job
    decoded: Decoded | None
    error: BaseException | None


class _Backend(Protocol):
    def submit(self, job: Job) -> Future[Decoded]: ...

    def running(self) -> bool: ...

    def restart(self) -> None: ...

    def stop(self) -> None: ...


def look_ahead(workers: int) -> int:
    """Return how many clips a pool takes at a time.

    Enough that no worker waits for the model to finish a batch, few enough that memory stays small.
    """
    return 2 * workers + 8 if workers else 2


class ClipPool:
    """Prepares clips in worker processes, or in one thread of this process when the runtime asks for no workers.

    A worker that crashes or exceeds the timeout costs its own clip only. Without workers there is no timeout.

    Args:
        preparer: The part of the extractor that opens media.
        runtime: Workers and timeout.
        clips: How many clips there are to do; no more workers than that are started.
    """

    def __init__(self, preparer: Preparer, runtime: Runtime, clips: int) -> None:
        workers = min(runtime.workers, clips)
        self._backend: _Backend = _Processes(preparer, workers, runtime.timeout) if workers else _Thread(preparer)
        self._patience = runtime.timeout + _STALLED if workers else math.inf
        self._jobs: dict[Future[Decoded], Job] = {}
        self._breakdowns: Counter[str] = Counter()
        self._capacity = look_ahead(workers)

    @property
    def has_room(self) -> bool:
        """Whether another clip may be submitted."""
        return len(self._jobs) < self._capacity

    @property
    def busy(self) -> bool:
        """Whether any clip has been submitted and not collected."""
        return bool(self._jobs)

    def submit(self, job: Job) -> None:
        """Have a clip prepared."""
        self._jobs[self._backend.submit(job)] = job

    def collect(self) -> list[Outcome]:
        """Wait until some clip is prepared or failed, and return all that are, in the order of submission.

        Raises:
            WorkerError: The worker processes end again and again before they answer.
        """
        begun = time.monotonic()
        while True:
            wait(self._jobs, timeout=_HEARTBEAT, return_when=FIRST_COMPLETED)
            found = [self._outcome(future) for future in list(self._jobs) if future.done()]
            outcomes = [outcome for outcome in found if not isinstance(outcome.error, BrokenProcessPool)]
            broken = [outcome for outcome in found if isinstance(outcome.error, BrokenProcessPool)]
            stalled = not found and time.monotonic() - begun > self._patience
            if broken or stalled or not self._backend.running():
                self._recover(broken)
                begun = time.monotonic()
            if outcomes:
                return outcomes

    def _outcome(self, future: Future[Decoded]) -> Outcome:
        job = self._jobs.pop(future)
        error = future.exception()
        if error is None:
            return Outcome(job, future.result(), None)
        return Outcome(job, None, _explain(error, job.clip.id))

    def _recover(self, broken: list[Outcome]) -> None:
        """Start the pool anew and submit again what was in it."""
        jobs = [*(outcome.job for outcome in broken), *self._jobs.values()]
        self._jobs.clear()
        self._breakdowns.update(job.clip.id for job in jobs)
        self._backend.restart()
        if any(self._breakdowns[job.clip.id] >= _BREAKDOWNS for job in jobs):
            names = ", ".join(job.clip.id for job in jobs)
            raise WorkerError(
                f"the worker processes ended {_BREAKDOWNS} times without an answer; in work were: {names}",
                reason="crashed",
                hint="In a script of your own, call extract() under `if __name__ == '__main__':`; "
                "with --workers 0 the error shows itself.",
            ) from (broken[0].error if broken else None)
        for job in jobs:
            self.submit(job)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._backend.stop()


class _Processes:
    """Worker processes that are replaced when they die."""

    def __init__(self, preparer: Preparer, workers: int, timeout: float) -> None:
        self._preparer = preparer
        self._workers = workers
        self._timeout = timeout
        self._pool = self._create()

    def _create(self) -> ProcessPool:
        # Spawned, not forked: a fork of a process that runs torch or CUDA threads deadlocks.
        return ProcessPool(
            max_workers=self._workers,
            initializer=start_worker,
            # A model whose every thread loses its core for a while to some worker waits for the last of them again
            # and again: where workers fill the machine, they get what the model leaves.
            initargs=(self._preparer, self._workers >= (os.cpu_count() or 1)),
            context=multiprocessing.get_context("spawn"),
        )

    def submit(self, job: Job) -> Future[Decoded]:
        # The pool's own timeout goes by a clock that can be set: it is for systems without a better one.
        timeout = self._timeout if TIMED_OUT is None else None
        return self._pool.schedule(work_on, args=(job.clip, job.source, job.scratch, self._timeout), timeout=timeout)

    def running(self) -> bool:
        return self._pool.active

    def restart(self) -> None:
        # A broken pool may never come to its own end, so it is ended from outside and left to itself.
        for process in multiprocessing.active_children():
            if process.name == _WORKER:
                process.kill()
        ending = threading.Thread(target=self.stop, daemon=True)
        ending.start()
        ending.join(_HEARTBEAT)
        self._pool = self._create()

    def stop(self) -> None:
        pool = self._pool
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


class _Thread:
    """One thread of this process, so that decoding and embedding overlap."""

    def __init__(self, preparer: Preparer) -> None:
        self._preparer = preparer
        self._pool = ThreadPoolExecutor(max_workers=1)

    def submit(self, job: Job) -> Future[Decoded]:
        return self._pool.submit(prepare_clip, self._preparer, job.clip, job.source, media_folder(job.scratch))

    def running(self) -> bool:
        return True

    def restart(self) -> None:
        raise AssertionError("a thread of this process does not break down alone")

    def stop(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _explain(error: BaseException, clip_id: str) -> BaseException:
    """Return what a worker's end means for its clip; other errors come back as they are."""
    explained: WorkerError
    if isinstance(error, TimeoutError) or _ran_out_of_time(error):
        explained = WorkerError(
            f"clip {clip_id}: preparing it took longer than the timeout",
            reason="timeout",
            hint="Give clips more time with --timeout SECONDS.",
        )
    elif isinstance(error, ProcessExpired):
        explained = WorkerError(f"clip {clip_id}: its worker process ended ({_how(error.exitcode)})", reason="crashed")
    elif isinstance(error, MemoryError):
        explained = WorkerError(
            f"clip {clip_id}: preparing it ran out of memory", reason="crashed", hint="Use fewer workers."
        )
    else:
        return error
    explained.__cause__ = error
    return explained


def _ran_out_of_time(error: BaseException) -> bool:
    return TIMED_OUT is not None and isinstance(error, ProcessExpired) and error.exitcode == -TIMED_OUT


def _how(exit_code: int) -> str:
    """Return how a process ended.

    Examples:
        >>> _how(-11), _how(3)
        ('signal SIGSEGV', 'exit code 3')
    """
    if exit_code < 0:
        return f"signal {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"
