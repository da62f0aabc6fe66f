"""The mirror of a data set: its tables as they are, its media as placeholders that look the same from outside.

A placeholder is a file of the object's size and time that holds no blocks on disk. So everything that lists folders and
looks at files works as it does on a disk, and whoever wants what is in a file asks :mod:`eri.storage.media` for it.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from eri.storage.location import ObjectUrl, mirror_path
from eri.storage.objects import ObjectStamp, ObjectStore
from eri.utils.errors import DataError, RemoteError

_LOG = logging.getLogger(__name__)

TABLES = frozenset({".csv", ".tsv", ".txt", ".yaml", ".yml", ".parquet", ".pq", ".json", ".xml", ".xls", ".xlsx"})
"""Suffixes of what is fetched whole when a data set is listed."""

THREADS = 8
"""Objects that are fetched or written at once."""

_PATIENCE = 600.0
"""Seconds to wait for another process that brings the same mirror up to date."""


def mirror_data(url: ObjectUrl) -> Path:
    """Bring the mirror of a data set up to date and return the path in it that stands for the URL.

    One listing says what is there. Tables are fetched when they changed; no media file is.

    Args:
        url: A folder, or a table or description in one.

    Raises:
        RemoteError: The store cannot be reached, or refuses.
        DataError: Nothing is there, or the mirror cannot be written.
    """
    is_table = PurePosixPath(url.name).suffix.lower() in TABLES
    folder = url.parent if is_table else url
    store = ObjectStore(folder)
    listing = _legible(store.stamps(), folder)
    if not listing or (is_table and url.name not in listing):
        raise DataError(f"{url}: nothing is there", hint="Check the bucket's name and the key.")
    root = mirror_path(folder, "data")
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root.with_name(f".{root.name}.lock"), timeout=_PATIENCE):
            _update(store, root, listing)
    except Timeout as error:
        raise RemoteError(
            f"{folder}: another process has been listing it for {_PATIENCE:.0f} s",
            reason="unreachable",
            hint="Try again when it has ended.",
        ) from error
    except OSError as error:
        raise DataError(
            f"{error.filename or root}: the mirror of {folder} cannot be written: {error.strerror or error}",
            hint="Choose a folder with room for it with ERI_CACHE.",
        ) from error
    return root / url.name if is_table else root


def _legible(listing: Mapping[str, ObjectStamp], url: ObjectUrl) -> dict[str, ObjectStamp]:
    """Return the objects whose names can be those of files: not ``../x``, nor ``a`` beside ``a/b``."""
    folders = {str(parent) for name in listing for parent in PurePosixPath(name).parents}
    fitting = {
        name: stamp
        for name, stamp in listing.items()
        if name not in folders and not set(name.split("/")) & {"", ".", ".."} and not set(name) & {"\0", "\\"}
    }
    if len(fitting) < len(listing):
        _LOG.warning("%s: %d objects have names that no file can have", url, len(listing) - len(fitting))
    return fitting


def _update(store: ObjectStore, root: Path, listing: Mapping[str, ObjectStamp]) -> None:
    changed = [name for name, stamp in listing.items() if not _is_current(root / name, stamp)]
    for folder in {(root / name).parent for name in changed}:
        _make_folder(folder, root)
    tables = [name for name in changed if PurePosixPath(name).suffix.lower() in TABLES]

    def fetch(name: str) -> None:
        store.fetch(name, root / name)
        os.utime(root / name, ns=(listing[name].mtime_ns, listing[name].mtime_ns))

    pool = ThreadPoolExecutor(THREADS)
    try:
        for _ in pool.map(fetch, tables):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
    for name in set(changed) - set(tables):
        place(root / name, listing[name])
    _remove_others(root, listing)
    _stamp_folders(root, listing)


def _is_current(path: Path, stamp: ObjectStamp) -> bool:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (status.st_size, status.st_mtime_ns) == (stamp.size, stamp.mtime_ns)


def _make_folder(folder: Path, root: Path) -> None:
    """Make a folder; what was an object of that name before has to go."""
    for part in (*reversed(folder.relative_to(root).parents), folder.relative_to(root)):
        if (root / part).is_file():
            (root / part).unlink()
    folder.mkdir(parents=True, exist_ok=True)


def place(path: Path, stamp: ObjectStamp) -> None:
    """Make the placeholder of an object. It is not flushed to disk: one that is lost is made again."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.truncate(stamp.size)
        os.utime(temporary, ns=(stamp.mtime_ns, stamp.mtime_ns))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_others(root: Path, listing: Mapping[str, ObjectStamp]) -> None:
    """Remove what is no longer in the store, and what killed processes left."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(folder, name)
            # The locks of mirrors of prefixes below this one stay.
            if path.relative_to(root).as_posix() not in listing and path.suffix != ".lock":
                path.unlink(missing_ok=True)
        if folder != str(root):
            with suppress(OSError):  # not empty
                Path(folder).rmdir()


def _stamp_folders(root: Path, listing: Mapping[str, ObjectStamp]) -> None:
    """Give each folder the time of its latest file: a folder of frames is a clip, and so looks alike everywhere."""
    latest: dict[str, int] = {}
    for name, stamp in listing.items():
        folder = str(PurePosixPath(name).parent)
        latest[folder] = max(latest.get(folder, 0), stamp.mtime_ns)
    for folder, mtime_ns in latest.items():
        if (root / folder).stat().st_mtime_ns != mtime_ns:
            os.utime(root / folder, ns=(mtime_ns, mtime_ns))
