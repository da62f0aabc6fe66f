"""The mirror of a data set: its tables as they are, its media as placeholders that look the same from outside.

A placeholder is a file of the object's size and time that holds no blocks on disk. So everything that lists folders and
looks at files works as it does on a disk. Whoever wants what is in a media file has it fetched just before it is
decoded, one clip at a time, and removed right after. Not by fsspec's file cache: that keeps every clip it ever opened,
and reads an object that is replaced meanwhile as if it were whole.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from eri.storage.location import ObjectUrl, mirror_path, mirrored_url
from eri.storage.objects import ObjectStamp, ObjectStore
from eri.utils.errors import (
    ChangedMediaError,
    DataError,
    ForbiddenMediaError,
    MediaError,
    MissingMediaError,
    RemoteError,
    StoreError,
)
from eri.utils.files import hidden_beside

_LOG = logging.getLogger(__name__)

TABLES = frozenset({".csv", ".tsv", ".txt", ".yaml", ".yml", ".parquet", ".pq", ".json", ".xml", ".xls", ".xlsx"})
"""Suffixes of what is fetched whole when a data set is listed."""

THREADS = 8  # objects that are fetched or written at once
_PATIENCE = 600.0  # seconds to wait for another process that brings the same mirror up to date
_CLIP_ERRORS = {"missing": MissingMediaError, "forbidden": ForbiddenMediaError, "changed": ChangedMediaError}
"""What concerns one clip; anything else, such as credentials that ran out, would fail every clip alike."""


def mirror_data(url: ObjectUrl) -> Path:
    """Bring the mirror of a data set up to date and return the path in it that stands for the URL.

    The URL is of a folder, or of a table or description in one. One listing says what is there. Tables are fetched when
    they changed; no media file is. DataError where nothing is there, or the mirror cannot be written.
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
        message = f"{folder}: another process has been listing it for {_PATIENCE:.0f} s"
        raise RemoteError(message, reason="unreachable", hint="Try again when it has ended.") from error
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
    changed = [name for name, stamp in listing.items() if not stamp.fits(root / name)]
    for folder in {(root / name).parent for name in changed}:
        for part in (folder, *folder.parents):
            if part.is_relative_to(root) and part.is_file():  # an object of that name was there before
                part.unlink()
        folder.mkdir(parents=True, exist_ok=True)
    tables = [name for name in changed if PurePosixPath(name).suffix.lower() in TABLES]
    with ThreadPoolExecutor(THREADS) as pool:
        # After an error those that have not begun are left out.
        list(pool.map(lambda name: store.fetch_changed(name, root / name, listing[name]), tables))
    for name in set(changed) - set(tables):
        _place(root / name, listing[name])
    _remove_others(root, listing)
    _stamp_folders(root, listing)


def _place(path: Path, stamp: ObjectStamp) -> None:
    """Make the placeholder of an object. It is not flushed to disk: one that is lost is made again."""
    temporary = hidden_beside(path.with_name("placeholder"))
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


@contextmanager
def fetched(url: ObjectUrl, folder: Path | None = None) -> Iterator[Path]:
    """Fetch a media file, or a folder of frames, for the time of a block, into a folder that is made and removed.

    The copy has the object's name, size and time, so that it looks as the object's placeholder does. Errors of the
    block that are about the copy name the URL instead. MediaError where the object is not there, may not be read or
    changes meanwhile, RemoteError where the store cannot be reached, StoreError where there is no room for a copy.
    """
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="eri-media-"))
    path = folder / url.name
    try:
        _fetch_media(url, path)
        yield path
    except MediaError as error:
        error.message = error.message.replace(str(path), str(url))
        raise
    except RemoteError as error:
        if error.reason not in _CLIP_ERRORS:
            raise
        clip_error = _CLIP_ERRORS[error.reason](path, error.message, hint=error.hint)
        clip_error.message = error.message
        raise clip_error from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def at_hand(path: Path) -> Iterator[Path]:
    """Yield a media file for the time of a block: itself, or, of a placeholder, a copy; see :func:`fetched`."""
    url = mirrored_url(path, "data")
    with nullcontext(path) if url is None else fetched(url) as copy:
        yield copy


def _fetch_media(url: ObjectUrl, path: Path) -> None:
    store = ObjectStore(url.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Listed rather than looked at: of credentials that ran out, only the answer to a listing says so. Listed first:
        # of an object that is replaced meanwhile the stamp then says too little, never too much.
        found = store.stamps(url.name)
        frames = {name: stamp for name, stamp in found.items() if name.startswith(f"{url.name}/")}
        if url.name in found:
            store.download(url.name, path)
            _check(path, found[url.name], store.stamp(url.name))
        elif frames:
            path.mkdir(exist_ok=True)
            direct = {name: stamp for name, stamp in frames.items() if name.count("/") == 1 and not name.endswith("/")}
            for name, stamp in direct.items():
                store.download(name, path.parent / name)
                _check(path.parent / name, stamp, stamp)
            latest = max((stamp.mtime_ns for stamp in direct.values()), default=0)
            os.utime(path, ns=(latest, latest))  # as its placeholder has
        else:
            raise MissingMediaError(path, "no such object")
    except OSError as error:
        raise StoreError(
            f"{path}: {url} cannot be kept here while it is decoded: {error.strerror or error}",
            hint="Free some space there, or set TMPDIR to a folder on another disk.",
        ) from error


def _check(path: Path, before: ObjectStamp, after: ObjectStamp | None) -> None:
    """Refuse a copy of an object that changed while it was read, and give it the object's time."""
    if path.stat().st_size != before.size or after != before:
        raise ChangedMediaError(path, "was changed while it was being read")
    os.utime(path, ns=(before.mtime_ns, before.mtime_ns))
