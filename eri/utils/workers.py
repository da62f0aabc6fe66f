"""Worker processes that may crash, hang or run out of memory: that costs the item they work on, and nothing else.

No process ever imports the user's program: a script needs no ``if __name__ == "__main__":``, and may as well come from
standard input or a notebook.

Why not a pool of a library: those that end one item share a pipe with locks among their processes (one killed at the
wrong moment takes a lock with it, and the pool stalls), keep time by a clock that can be set, or, as
:class:`concurrent.futures.ProcessPoolExecutor`, lose every item when one process dies.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from multiprocessing import context, parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Self, TypeVar

import cloudpickle

from eri.utils.errors import EriError, WorkerError, WorkerStartError

Item = TypeVar("Item")
Result = TypeVar("Result")
OnProgress = Callable[[Any], None]

_ATTEMPTS = 3  # processes that may end one after the other before any of them is ready
_ORPHAN = 30.0  # seconds beyond the timeout after which a process ends by itself, should no one have ended it
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
_LOWEST_PRIORITY = 19

_HIDING = threading.Lock()

_PIPE: ContextVar[Connection[Any, Any]] = ContextVar("pipe")
"""The way from a worker process to the one that started it."""


class _SpawnProcess(context.SpawnProcess):
    @staticmethod
    def _Popen(process: Any) -> Any:  # noqa: N802
        """Start a process, while multiprocessing is kept from telling it which program to import."""
        names = vars(sys.modules["__main__"])
        with _HIDING:
            found: dict[str, Any] = {name: names[name] for name in ("__file__", "__spec__") if name in names}
            names.pop("__file__", None)
            names["__spec__"] = None
            try:
                return context.SpawnProcess._Popen(process)
            finally:
                names.update(found)


class _SpawnContext(context.SpawnContext):
    Process = _SpawnProcess


def process_context() -> context.SpawnContext:
    """Return a context of :mod:`multiprocessing` whose processes start afresh and never import the user's program.

    Never ``fork``: a copy of a process that runs the threads of torch or CUDA deadlocks.
    """
    return _SpawnContext()


def report_progress(value: Any) -> None:
    """Send a value to the ``on_progress`` of the item that this worker process works on; elsewhere, do nothing."""
    if (pipe := _PIPE.get(None)) is not None:
        _answer(pipe, "progress", value)


class WorkerPool(Generic[Item, Result]):
    """Runs a function on items in worker processes, which start when they are needed; use it as a context.

    An item whose process crashes, exceeds the timeout (seconds) or runs out of memory fails alone, with a
    :class:`~eri.utils.errors.WorkerError` that names ``task`` and ``hint``; another process takes over. When this
    process ends, however it does, so do its workers. The function is sent to each process once, with its code if it is
    defined in a script or a notebook, and may keep what it has loaded; ``setup`` is called first, such as to load a
    model, without a timeout. Each library may use ``threads`` in a process; one ``giving_way`` only gets the processor
    time that others leave. With 0 workers a thread of this process does the work, without a timeout.

    Examples:
        >>> with WorkerPool(len, workers=0) as pool:
        ...     pool.submit("four", "a word").result()
        4
    """

    def __init__(
        self,
        function: Callable[[Item], Result],
        workers: int,
        *,
        timeout: float | None = None,
        task: str = "working on it",
        hint: str | None = None,
        setup: Callable[[], None] | None = None,
        threads: int | None = None,
        giving_way: bool = False,
    ) -> None:
        self._function = function
        self._timeout = None if timeout is None else min(timeout, 1e6)
        self._task, self._hint = task, hint
        self._arguments = cloudpickle.dumps((function, setup)) if workers else b"", self._timeout, threads, giving_way
        self._in_processes = workers > 0
        self._threads = ThreadPoolExecutor(max(1, workers), thread_name_prefix="worker")
        self._idle: list[_Worker] = []
        self._started: set[_Worker] = set()
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, item: Item, name: str, on_progress: OnProgress | None = None) -> Future[Result]:
        """Have the function called on an item; items are begun in the order in which they are submitted.

        ``name`` is what messages call it; ``on_progress`` gets, in a thread of the pool, what the function reports. The
        future raises what the function raises, a :class:`WorkerError` where the item's process crashed, took too long
        or ran out of memory, or a :class:`WorkerStartError` where processes cannot be started, which concerns every
        item.
        """
        return self._threads.submit(self._run, item, name, on_progress)

    def close(self) -> None:
        """End all processes; what they work on is not finished, what waits is not begun."""
        with self._lock:
            self._closed = True
            workers = list(self._started)
        for worker in workers:
            worker.end()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, item: Item, name: str, on_progress: OnProgress | None) -> Result:
        try:
            return self._run_in_process(item, name, on_progress) if self._in_processes else self._function(item)
        except MemoryError as error:
            message = f"{name}: {self._task} ran out of memory"
            raise WorkerError(message, reason="crashed", hint="Use fewer workers.") from error

    def _run_in_process(self, item: Item, name: str, on_progress: OnProgress | None) -> Result:
        attempts = len(self._idle) + _ATTEMPTS  # an item that no process survives receiving ends, too
        worker = self._worker()
        try:
            while not worker.begin(item, self._timeout):  # it died while it had nothing to do
                if not (attempts := attempts - 1):
                    raise EOFError
                self._discard(worker)
                worker = self._worker()
            kind, value = worker.receive(self._timeout, on_progress)
        except TimeoutError:
            self._discard(worker)
            raise WorkerError(
                f"{name}: {self._task} took longer than {self._timeout:g} s", reason="timeout", hint=self._hint
            ) from None
        except EOFError:
            how = _how(self._discard(worker))
            raise WorkerError(f"{name}: its worker process ended ({how})", reason="crashed") from None
        self._idle.append(worker)
        if kind == "error":
            raise value
        result: Result = value
        return result

    def _worker(self) -> _Worker:
        """Return a process that is ready for an item."""
        with suppress(IndexError):
            return self._idle.pop()
        for _ in range(_ATTEMPTS):
            worker = _Worker(*self._arguments)
            with self._lock:
                self._started.add(worker)
                if self._closed:
                    worker.end()
            try:
                kind, error = worker.receive(None, None)
            except EOFError:
                code = self._discard(worker)
                if self._closed:
                    break
                continue
            if kind == "ready":
                return worker
            self._discard(worker)
            if isinstance(error, EriError):
                raise error
            raise WorkerStartError(
                f"the worker processes cannot be started: {error!r}", hint="With 0 workers the error shows itself."
            ) from error
        if self._closed:
            raise WorkerError("the worker processes were ended", reason="crashed")
        raise WorkerStartError(
            f"{_ATTEMPTS} worker processes ended before they could begin ({_how(code)})",
            hint="Is memory short? With 0 workers the work is done in this process.",
        )

    def _discard(self, worker: _Worker) -> int:
        with self._lock:
            self._started.discard(worker)
        return worker.end()


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, payload: bytes, timeout: float | None, threads: int | None, giving_way: bool) -> None:
        processes = process_context()
        self._pipe, theirs = processes.Pipe()
        self._process = processes.Process(
            target=_serve, args=(theirs, payload, timeout, threads, giving_way), daemon=True, name="eri worker"
        )
        self._process.start()
        theirs.close()  # else its end would not be the end of the pipe

    def begin(self, item: Any, timeout: float | None) -> bool:
        """Send an item; False where the process ended without receiving it, a TimeoutError if that takes too long.

        Only its answer shows that: the pipe to a process that was killed takes what is sent for a while.
        """
        message = cloudpickle.dumps(item)
        try:
            self._pipe.send_bytes(message)
            self.receive(timeout, None)
        except TimeoutError:
            raise
        except (OSError, EOFError):
            return False
        return True

    def receive(self, timeout: float | None, on_progress: OnProgress | None) -> tuple[str, Any]:
        """Wait for an answer; a TimeoutError where it takes too long, an EOFError where the process ends."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            try:
                message = self._pipe.recv_bytes() if self._pipe.poll(left) else None
            except OSError as error:
                raise EOFError from error
            if message is None:
                raise TimeoutError
            kind, value = cloudpickle.loads(message)
            if kind != "progress":
                return kind, value
            if on_progress is not None:
                on_progress(value)

    def end(self) -> int:
        """End the process and return its exit code."""
        self._process.kill()
        self._process.join()
        return self._process.exitcode or 0


def _serve(
    pipe: Connection[Any, Any], payload: bytes, timeout: float | None, threads: int | None, giving_way: bool
) -> None:
    """Be a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends this process
    if giving_way:
        os.nice(_LOWEST_PRIORITY)
    if threads is not None:
        for name in _THREADS:
            os.environ[name] = str(threads)
    threading.Thread(target=_follow_parent, daemon=True).start()
    _PIPE.set(pipe)
    try:
        function, setup = cloudpickle.loads(payload)
        for module, limit in (("cv2", "setNumThreads"), ("torch", "set_num_threads")):
            if threads is not None and module in sys.modules:
                getattr(sys.modules[module], limit)(threads)
        if setup is not None:
            setup()
    except Exception as error:  # noqa: BLE001  whatever it is, it is the parent's to tell
        _answer(pipe, "error", error)
        return
    _answer(pipe, "ready", None)
    while True:
        try:
            message = pipe.recv_bytes()
        except EOFError:
            return
        _answer(pipe, "begun", None)
        _end_after(0 if timeout is None else timeout + _ORPHAN)
        try:
            kind, value = "result", function(cloudpickle.loads(message))
        except Exception as error:  # noqa: BLE001
            kind, value = "error", error
        _end_after(0)
        _answer(pipe, kind, value)


def _follow_parent() -> None:
    # A parent that was killed cannot stop its workers, and one that hangs in a decoder would hang on for ever.
    if (parent := parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)


def _answer(pipe: Connection[Any, Any], kind: str, value: Any) -> None:
    """Send something home; an error or a result that cannot travel becomes an error that says so."""
    if isinstance(value, Exception) and not isinstance(value, EriError):
        value.add_note("".join(traceback.format_exception(value)))
    try:
        message = cloudpickle.dumps((kind, value))
        if kind == "error":
            cloudpickle.loads(message)
    except Exception as error:  # noqa: BLE001
        what = repr(value) if kind == "error" else f"a result that cannot be sent home: {error!r}"
        message = cloudpickle.dumps(("error", RuntimeError(what)))
    pipe.send_bytes(message)


def _end_after(seconds: float) -> None:
    """End this process then, should its parent be killed while a decoder keeps the interpreter; 0 is never."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _how(code: int) -> str:
    """Return how a process ended.

    Examples:
        >>> _how(-11), _how(3)
        ('signal SIGSEGV', 'exit code 3')
    """
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
