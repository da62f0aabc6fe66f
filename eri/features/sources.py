"""What a feature file says about the media file it was made from, and how that is compared."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from eri.data.clips import Clip, ClipTable
from eri.storage import ObjectUrl, mirrored_url
from eri.storage.media import fetched
from eri.utils.errors import ForbiddenMediaError, MediaError, MissingMediaError
from eri.utils.files import sha256_file


@dataclass(frozen=True)
class Source:
    """The file, or the folder of pictures, that features of one clip are made from.

    Attributes:
        path: Where it is on this machine, or what has its size and time where it is not.
        name: How the data set calls it: its path under the data set's root, with forward slashes.
        url: Where its content is, if in an object store.
    """

    path: Path
    name: str
    url: ObjectUrl | None = None


@dataclass(frozen=True)
class SourceStamp:
    """What a source looks like from outside, without opening it.

    Attributes:
        name: See :class:`Source`.
        size: Bytes; of a folder, those of all its files.
        mtime_ns: Time of the last change in nanoseconds; of a folder, the latest of its own and its files'.
    """

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class SourceIdentity:
    """A source as it was when features were made from it.

    Attributes:
        stamp: How it looked from outside.
        digest: SHA-256 of its content, 64 hex digits.
    """

    stamp: SourceStamp
    digest: str


def clip_source(clip: Clip, modality: Literal["visual", "audio"], root: Path) -> Source | None:
    """Return what the features of a clip are made from; None where the data set names nothing.

    Args:
        clip: The clip.
        modality: ``visual`` reads the video, ``audio`` the audio file or else the video's own track.
        root: Folder of the data set.

    Examples:
        >>> clip_source(Clip("a", "train", video=Path("data/train/a.mp4")), "audio", Path("data"))
        Source(path=PosixPath('data/train/a.mp4'), name='train/a.mp4', url=None)
    """
    path = clip.video if modality == "visual" else clip.audio_source
    if path is None:
        return None
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    # A name that is not UTF-8 could not be written down.
    return Source(path, name.encode("utf-8", "replace").decode(), mirrored_url(path, "data"))


def clip_sources(
    table: ClipTable, modality: Literal["visual", "audio"], clips: Iterable[Clip] | None = None
) -> dict[str, Source | None]:
    """Return the source of each clip by id; see :func:`clip_source`.

    Args:
        table: The data set.
        modality: What the features describe.
        clips: Clips of the table; None is all of them.
    """
    return {clip.id: clip_source(clip, modality, table.root) for clip in (table if clips is None else clips)}


def stamp_source(source: Source) -> SourceStamp:
    """Look at a source from outside.

    Raises:
        MissingMediaError: It is not there.
        MediaError: It may not be looked at.
    """
    try:
        status = source.path.stat()
        if not source.path.is_dir():
            return SourceStamp(source.name, status.st_size, status.st_mtime_ns)
        with os.scandir(source.path) as entries:
            files = [entry.stat() for entry in entries if entry.is_file() and not entry.name.startswith(".")]
    except OSError as error:
        raise _media_error(source.path, error) from error
    latest = max([status.st_mtime_ns, *(file.st_mtime_ns for file in files)])
    return SourceStamp(source.name, sum(file.st_size for file in files), latest)


def identify_source(source: Source) -> SourceIdentity:
    """Read a source through once and return its identity; one in an object store is fetched for it.

    Raises:
        MissingMediaError: It is not there.
        MediaError: It may not be read.
        RemoteError: The object store cannot be reached.
    """
    if source.url is not None:
        with fetched(source.url) as path:
            return identify_source(replace(source, path=path, url=None))
    stamp = stamp_source(source)
    try:
        if source.path.is_dir():
            return SourceIdentity(stamp, _folder_digest(source.path))
        return SourceIdentity(stamp, sha256_file(source.path))
    except OSError as error:
        raise _media_error(source.path, error) from error


def _folder_digest(folder: Path) -> str:
    state = hashlib.sha256()
    for path in sorted(entry for entry in folder.glob("[!.]*") if entry.is_file()):
        state.update(f"{path.name}\0{sha256_file(path)}\n".encode())
    return state.hexdigest()


def _media_error(path: Path, error: OSError) -> MediaError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return MissingMediaError(path, "no such file")
    if isinstance(error, PermissionError):
        return ForbiddenMediaError(path, "may not be read by this user")
    return MediaError(path, f"cannot be read: {error.strerror or error}")
