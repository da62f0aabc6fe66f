"""Making a set of clips on disk: room for it, several processes, and what is there already is kept."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

import cv2

from eri.utils.errors import DataError, WorkerError
from eri.utils.files import write_json
from eri.utils.workers import process_context

_Job = TypeVar("_Job")


def make_room(
    folder: Path, mark: str, wanted: dict[str, Any], parts: Iterable[str], notes: dict[str, Any] | None = None
) -> None:
    """Prepare a folder for a set of clips: what is there of another set goes, what is there of this one stays.

    Args:
        folder: Where the set stands; made if absent.
        mark: Name of the JSON file that says which set it is.
        wanted: Which set it is to be.
        parts: Files and folders that a set is made of, the one that is written last first.
        notes: What the mark says besides.

    Raises:
        DataError: The folder holds something else than such a set.
    """
    path = folder / mark
    if path.is_file():
        try:
            there = json.loads(path.read_text(encoding="utf-8"))["set"]
        except (ValueError, KeyError, TypeError):
            there = None
        if there == wanted:
            return
        for part in parts:
            if (folder / part).is_dir():
                shutil.rmtree(folder / part, ignore_errors=True)
            else:
                (folder / part).unlink(missing_ok=True)
    elif folder.is_dir() and any(folder.iterdir()):
        raise DataError(
            f"{folder}: holds files that are not of a demo set", hint="Give an empty folder or one that does not exist."
        )
    write_json(path, {"set": wanted, **(notes or {})})


def make_missing(
    make: Callable[[_Job], None],
    jobs: Sequence[_Job],
    files: Callable[[_Job], Iterable[Path]],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Make those clips whose files are not all there.

    Args:
        make: Makes one; can be pickled.
        jobs: All clips of the set.
        files: The files of one.
        workers: Processes; 0 works in this one.
        progress: Called with the number of clips that are there and the number wanted.

    Returns:
        How many were made.

    Raises:
        WorkerError: A process died.
    """
    missing = [job for job in jobs if not all(path.is_file() for path in files(job))]
    there = len(jobs) - len(missing)
    report = progress or (lambda done, total: None)
    report(there, len(jobs))
    for done, _ in enumerate(_make_all(make, missing, workers), start=there + 1):
        report(done, len(jobs))
    return len(missing)


def code_digest(but: Collection[str]) -> str:
    """Return a digest of the code that makes clips: other code, another set.

    Args:
        but: Names of modules of :mod:`eri.synthetic` that have no part in it.
    """
    state = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in but:
            state.update(path.read_bytes())
    return state.hexdigest()[:12]


def _make_all(make: Callable[[_Job], None], jobs: Sequence[_Job], workers: int) -> Iterator[None]:
    if workers == 0 or len(jobs) < 2:
        for job in jobs:
            make(job)
            yield
        return
    with ProcessPoolExecutor(workers, process_context(), initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        futures = [pool.submit(make, job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise WorkerError(
                "a process that makes demo clips died", reason="crashed", hint="Run it again: it goes on where it was."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
