"""Writing features in a thread of its own, so that the model does not wait for the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from eri.store.journal import Entry

WAITING = 4
"""Clips that may wait for being written: they are in memory, and their claims are held."""


class WritingThread:
    """Writes in the order of submission, a bounded number behind; use it as a context.

    What was submitted is written even when the block ends with an error.

    Args:
        on_written: Called, in the thread that submits and settles, with the result of each write.
    """

    def __init__(self, on_written: Callable[[Entry], None]) -> None:
        self._on_written = on_written
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writing")
        self._futures: deque[Future[Entry]] = deque()

    def submit(self, write: Callable[[], Entry]) -> None:
        """Have something written; waits while too much is waiting, and settles what is done."""
        self._futures.append(self._thread.submit(write))
        self._settle(WAITING)

    def finish(self) -> None:
        """Wait until everything is written.

        Raises:
            StoreError: The disk is full or read-only.
        """
        self._settle(0)

    def _settle(self, waiting: int) -> None:
        while self._futures and (len(self._futures) > waiting or self._futures[0].done()):
            self._on_written(self._futures.popleft().result())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
