"""Timelines made in a process of their own: a file that hangs or crashes its decoder costs itself only."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from eri.config import Runtime
from eri.prediction.loading import LoadedRun, load
from eri.prediction.timeline import Timeline, TimelineEvent
from eri.utils.workers import WorkerPool, report_progress


class TimelineWorker:
    """Makes timelines in a worker process, which loads the run once; use it as a context.

    Args:
        run: Folder of a run, a cross-validation or an ensemble.
        runtime: Device and batch size, and the seconds that one video may take.
        window: Seconds of a window.
        hop: Seconds between two windows.
    """

    def __init__(self, run: Path, runtime: Runtime, *, window: float, hop: float) -> None:
        maker = _TimelineMaker(run, runtime, window, hop)
        self._pool = WorkerPool(
            maker.make,
            1,
            timeout=runtime.timeout,
            task="making its timeline",
            hint="Give it more time with --timeout SECONDS, or take fewer windows with a longer --hop.",
            setup=maker.load,
        )

    def make(self, video: Path, on_event: Callable[[TimelineEvent], None] | None = None) -> Timeline:
        """Make the timeline of one video; see :func:`eri.prediction.sliding.slide`.

        Raises:
            WorkerError: It took longer than the timeout, or its process crashed; the next video gets a new one.
            MediaError: The file is missing, damaged or not media, or lacks what the run reads.
            DataError: It lacks a modality that the run was not trained to do without.
        """
        return self._pool.submit(video, str(video), on_event).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.close()


class _TimelineMaker:
    """What the worker process does; the run is loaded there."""

    def __init__(self, run: Path, runtime: Runtime, window: float, hop: float) -> None:
        self._run, self._runtime, self._window, self._hop = run, runtime, window, hop
        self._loaded: LoadedRun | None = None

    def load(self) -> None:
        logging.getLogger("eri").setLevel(logging.ERROR)  # the parent has loaded the run too, and reported warnings
        self._loaded = load(self._run, self._runtime)

    def make(self, video: Path) -> Timeline:
        assert self._loaded is not None, "the pool calls setup first"
        return self._loaded.timeline(video, window=self._window, hop=self._hop, on_event=report_progress)
