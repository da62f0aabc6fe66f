"""What a feature file says about the media file it was made from, and how that is compared."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from eri.data.clips import Clip, ClipTable
from eri.storage import ObjectUrl, mirrored_url
from eri.storage.media import fetched
from eri.utils.errors import ForbiddenMediaError, MediaError, MissingMediaError
from eri.utils.files import sha256_file


@dataclass(frozen=True)
class Source:
    """The file, or the folder of frames, that a clip's features are made from.

    Two are equal when the data set calls them the same and they look and read the same, wherever they are.

    Attributes:
        name: How the data set calls it: its path under the data set's root, with forward slashes.
        path: Where it is on this machine, or what has its size and time where it is not; empty of one read back from
            a feature file.
        url: Where its content is, if in an object store.
        size: Bytes; of a folder, those of all its files. 0 until it was looked up, see :func:`stamp_source`.
        mtime_ns: Time of the last change in nanoseconds; of a folder, the latest of its own and its files'.
        sha256: Of its content, 64 hex digits; empty until read, see :func:`identify_source`.
    """

    name: str = ""
    path: Path = field(default=Path(), compare=False)
    url: ObjectUrl | None = field(default=None, compare=False)
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""

    def looks_like(self, other: Source) -> bool:
        """Tell whether both have one name, size and time, so that the content need not be compared."""
        return (self.name, self.size, self.mtime_ns) == (other.name, other.size, other.mtime_ns)


def clip_source(clip: Clip, modality: Literal["visual", "audio"], root: Path) -> Source | None:
    """Return what the features of a clip are made from; None where the data set names nothing.

    Args:
        clip: The clip.
        modality: ``visual`` reads the video, ``audio`` the audio file or else the video's own track.
        root: Folder of the data set.

    Examples:
        >>> clip_source(Clip("a", "train", video=Path("data/train/a.mp4")), "audio", Path("data"))
        Source(name='train/a.mp4', path=PosixPath('data/train/a.mp4'), url=None, size=0, mtime_ns=0, sha256='')
    """
    path = clip.video if modality == "visual" else clip.audio_source
    if path is None:
        return None
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    # A name that is not UTF-8 could not be written down.
    return Source(name.encode("utf-8", "replace").decode(), path, mirrored_url(path, "data"))


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


def stamp_source(source: Source) -> Source:
    """Return a source with its size and time, without opening it.

    Raises:
        MissingMediaError: It is not there.
        MediaError: Its folder may not be read.
    """
    path = source.path
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            return replace(source, size=status.st_size, mtime_ns=status.st_mtime_ns)
        with os.scandir(path) as entries:
            files = [entry.stat() for entry in entries if entry.is_file() and not entry.name.startswith(".")]
    except OSError as error:
        raise _media_error(path, error) from error
    latest = max([status.st_mtime_ns, *(file.st_mtime_ns for file in files)])
    return replace(source, size=sum(file.st_size for file in files), mtime_ns=latest)


def identify_source(source: Source) -> Source:
    """Return a source with its size, its time and the hash of its content, read once; see :func:`stamp_source`.

    Raises:
        MissingMediaError: It is not there.
        MediaError: It may not be read.
        RemoteError: The object store that it is fetched from cannot be reached.
    """
    if source.url is not None:
        with fetched(source.url) as copy:
            return replace(identify_source(replace(source, path=copy, url=None)), path=source.path, url=source.url)
    stamped = stamp_source(source)
    try:
        return replace(stamped, sha256=(_folder_digest if source.path.is_dir() else sha256_file)(source.path))
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
