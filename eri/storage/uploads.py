"""Writing to an object store beside other work, a bounded number of objects behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

_THREADS = 4
_WAITING = 16


class Uploads:
    """Does what is submitted in threads; an error comes out of the next call.

    Examples:
        >>> done = []
        >>> uploads = Uploads()
        >>> uploads.submit(lambda: done.append(1))
        >>> uploads.finish()
        >>> done
        [1]
    """

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._futures: deque[Future[None]] = deque()

    def submit(self, upload: Callable[[], None]) -> None:
        """Have something done; waits while too much is waiting."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="upload")
        self._futures.append(self._threads.submit(upload))
        self._settle(_WAITING)

    def finish(self) -> None:
        """Wait until everything is done, and raise the first error there was."""
        try:
            self._settle(0)
        finally:
            if self._threads is not None:
                self._threads.shutdown(wait=True, cancel_futures=True)
                self._threads = None
            self._futures.clear()

    def _settle(self, waiting: int) -> None:
        while self._futures and (len(self._futures) > waiting or self._futures[0].done()):
            self._futures.popleft().result()
