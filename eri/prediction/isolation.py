"""Timelines made in a process of their own: a file that hangs or crashes its decoder costs itself only."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pebble import ProcessExpired, ProcessPool

from eri.config import Runtime
from eri.prediction.loading import LoadedRun, load
from eri.prediction.timeline import Timeline, TimelineEvent
from eri.utils.errors import WorkerError
from eri.utils.workers import end_with_parent, process_context

_HEARTBEAT = 0.2
"""Seconds between two looks at how far the worker is."""

_STALLED = 120.0
"""Seconds beyond the timeout after which a worker that cannot even be ended is given up."""

_PROGRESS: ContextVar[Any] = ContextVar("progress")
_RUN: ContextVar[LoadedRun] = ContextVar("run")


class TimelineWorker:
    """Makes timelines in a worker process, which loads the run once; use it as a context.

    Args:
        run: Folder of a run, a cross-validation or an ensemble.
        runtime: Device and batch size, and the seconds that one video may take.
        window: Seconds of a window.
        hop: Seconds between two windows.
    """

    def __init__(self, run: Path, runtime: Runtime, *, window: float, hop: float) -> None:
        self._run, self._runtime = run, runtime
        self._window, self._hop = window, hop
        self._context = process_context()
        self._pool: ProcessPool | None = None
        self._progress: Any = None

    def make(self, video: Path, on_event: Callable[[TimelineEvent], None] | None = None) -> Timeline:
        """Make the timeline of one video; see :func:`eri.prediction.windows.slide`.

        Raises:
            WorkerError: It took longer than the timeout, or its process crashed; the next video gets a new one.
            MediaError: The file is missing, damaged or not media, or lacks what the run reads.
            DataError: It lacks a modality that the run did not learn to do without.
        """
        pool = self._opened()
        self._progress[:] = 0, 0
        future = pool.schedule(_make, args=(video, self._window, self._hop), timeout=self._runtime.timeout)
        told = 0
        patience = time.monotonic() + self._runtime.timeout + _STALLED
        while not future.done() and time.monotonic() < patience:
            wait([future], timeout=_HEARTBEAT)
            done, total = self._progress
            if on_event is not None and done > told:
                told = done
                on_event(TimelineEvent(video.name, done, total))
        made: Timeline = self._result(future, video)
        return made

    def _opened(self) -> ProcessPool:
        if self._pool is None:
            self._progress = self._context.RawArray("q", 2)
            self._pool = ProcessPool(
                max_workers=1, initializer=_start, initargs=(self._progress,), context=self._context
            )
            loading = self._pool.schedule(_load, args=(self._run, self._runtime))
            wait([loading])
            self._result(loading, self._run)
        return self._pool

    def _result(self, future: Future[Any], path: Path) -> Any:
        """Return what came of a task; where the process failed, give it up and say what that means for the file."""
        try:
            return future.result(timeout=0)
        except TimeoutError as error:
            self._close()
            raise WorkerError(
                f"{path}: its timeline took longer than {self._runtime.timeout:g} s",
                reason="timeout",
                hint="Give it more time with --timeout SECONDS, or take fewer windows with a longer --hop.",
            ) from error
        except (ProcessExpired, BrokenProcessPool, MemoryError) as error:
            self._close()
            raise WorkerError(f"{path}: its worker process ended ({error})", reason="crashed") from error

    def _close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join(_STALLED)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


def _start(progress: Any) -> None:
    """Make this process a worker that ends with its parent."""
    _PROGRESS.set(progress)
    logging.getLogger("eri").setLevel(logging.ERROR)  # the parent has loaded the run too, and said what is to be said
    end_with_parent()


def _load(run: Path, runtime: Runtime) -> None:
    _RUN.set(load(run, runtime))


def _make(video: Path, window: float, hop: float) -> Timeline:
    return _RUN.get().timeline(video, window=window, hop=hop, on_event=_note)


def _note(event: TimelineEvent) -> None:
    _PROGRESS.get()[:] = event.done, event.total
