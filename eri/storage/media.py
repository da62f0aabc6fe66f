"""Media of an object store, one clip at a time: fetched just before it is decoded, removed right after.

Not by fsspec's file cache: that keeps every clip it ever opened, and reads an object that is replaced meanwhile as if
it were whole.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eri.storage.location import ObjectUrl, mirrored_url
from eri.storage.objects import ObjectStamp, ObjectStore
from eri.utils.errors import (
    ChangedMediaError,
    ForbiddenMediaError,
    MediaError,
    MissingMediaError,
    RemoteError,
    StoreError,
)

_CLIP_ERRORS = {"missing": MissingMediaError, "forbidden": ForbiddenMediaError, "changed": ChangedMediaError}
"""What concerns one clip; anything else, such as credentials that ran out, would fail every clip alike."""


@contextmanager
def fetched(url: ObjectUrl, folder: Path | None = None) -> Iterator[Path]:
    """Fetch a media file, or a folder of frames, for the time of a block.

    The copy has the object's name, size and time, so that it looks as the object's placeholder does. Errors of the
    block that are about the copy name the URL instead.

    Args:
        url: What to fetch.
        folder: Where it may stand meanwhile; made and removed. None makes one among the system's temporary files.

    Raises:
        MediaError: It is not there, may not be read, or was changed meanwhile.
        RemoteError: The store cannot be reached.
        StoreError: There is no room for it.
    """
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="eri-media-"))
    path = folder / url.name
    try:
        _fetch(url, path)
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
    """Yield a media file for the time of a block: itself, or, of a placeholder, a copy of the object.

    Raises:
        MediaError: The object is not there, may not be read, or was changed meanwhile.
        RemoteError: The store cannot be reached.
        StoreError: There is no room for a copy.
    """
    url = mirrored_url(path, "data")
    if url is None:
        yield path
        return
    with fetched(url) as copy:
        yield copy


def _fetch(url: ObjectUrl, path: Path) -> None:
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
