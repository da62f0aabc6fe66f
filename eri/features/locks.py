"""Locks: who works on what, when several processes fill one feature folder.

Each is a lock of the operating system on a small file. It ends with the process that holds it, however that process
ends, so a killed run leaves nothing that a later one would have to wait for.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout


class Lock:
    """A lock that is held, until it is released or its process ends.

    Examples:
        >>> folder = getfixture("tmp_path") / "locks"
        >>> with try_lock(folder, "00042"):
        ...     print(try_lock(folder, "00042"), is_locked(folder, "00042"), is_locked(folder, "00043"))
        None True False
        >>> list(folder.iterdir())
        []
    """

    def __init__(self, lock: FileLock, *, keep_file: bool = False) -> None:
        self._lock = lock
        self._keep_file = keep_file

    def release(self) -> None:
        """Release the lock; a second time does nothing."""
        if not self._lock.is_locked:
            return
        if not self._keep_file:
            # Removed while still locked: a process that locks the removed file afterwards finds the work done.
            with suppress(OSError):
                Path(self._lock.lock_file).unlink()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def try_lock(folder: Path, name: str) -> Lock | None:
    """Lock a name that is safe as a file name; None while another process, or another part of this one, holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    return Lock(lock)


def wait_for_lock(folder: Path, name: str) -> Lock:
    """Lock a name as soon as no other process holds it; its file stays, hidden, for the next to wait on."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{name}.lock")
    lock.acquire()
    return Lock(lock, keep_file=True)


def is_locked(folder: Path, name: str) -> bool:
    """Tell whether some process holds a lock, without taking it; True too where that cannot be found out."""
    path = folder / f"{name}.lock"
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def stale_locks(folder: Path) -> list[Path]:
    """Return the lock files that killed processes left behind."""
    return [path for path in sorted(folder.glob("[!.]*.lock")) if not is_locked(folder, path.name[:-5])]


def remove_stale_locks(folder: Path) -> None:
    """Remove the lock files that killed processes left behind."""
    for path in folder.glob("[!.]*.lock"):
        if (lock := try_lock(folder, path.name[:-5])) is not None:
            lock.release()
