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
from eri.storage.mirror import fetched
from eri.utils.errors import ForbiddenMediaError, MediaError, MissingMediaError
from eri.utils.files import sha256_file


@dataclass(frozen=True)
class Source:
    """The file, or the folder of frames, that a clip's features are made from.

    Two are equal when the data set calls them the same and they look and read the same, wherever they are.
    """

    name: str = ""  # its path under the data set's root, with forward slashes
    path: Path = field(default=Path(), compare=False)  # or what has its size and time here; empty if read back
    url: ObjectUrl | None = field(default=None, compare=False)  # where its content is, if in an object store
    size: int = 0  # bytes, of a folder those of all its files; 0 until stamp_source
    mtime_ns: int = 0  # last change; of a folder, the latest of its own and its files'
    sha256: str = ""  # of its content, 64 hex digits; empty until identify_source

    def looks_like(self, other: Source) -> bool:
        """Tell whether both have one name, size and time, so that the content need not be compared."""
        return (self.name, self.size, self.mtime_ns) == (other.name, other.size, other.mtime_ns)


def clip_source(clip: Clip, modality: Literal["visual", "audio"], root: Path) -> Source | None:
    """Return what the features of a clip are made from: its video, or its audio; None where the data set names nothing.

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
    """Return the source of each clip by id, of all clips of the table or of some; see :func:`clip_source`."""
    return {clip.id: clip_source(clip, modality, table.root) for clip in (table if clips is None else clips)}


def stamp_source(source: Source) -> Source:
    """Return a source with its size and time, without opening it; MediaError where it is gone or may not be read."""
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
    """Return a source with its size, its time and the hash of its content, read once.

    MediaError where it is gone or may not be read, RemoteError where its object store cannot be reached.
    """
    if source.url is not None:
        with fetched(source.url) as copy:
            return replace(identify_source(replace(source, path=copy, url=None)), path=source.path, url=source.url)
    stamped = stamp_source(source)
    try:
        return replace(stamped, sha256=(_folder_digest if source.path.is_dir() else sha256_file)(source.path))
    except OSError as error:
        raise _media_error(source.path, error) from error


def looks_unchanged(source: Source | None, made_from: Source) -> bool:
    """Tell whether a source looks like what features were made from; true of one that is gone or not known."""
    try:
        return source is None or stamp_source(source).looks_like(made_from)
    except MediaError as error:
        return isinstance(error, MissingMediaError)


def match_source(source: Source | None, made_from: Source) -> Source | None:
    """Return what features were made from, stamped again where only the stamp changed; None where the content did."""
    if source is None or looks_unchanged(source, made_from):
        return made_from
    try:
        now = identify_source(source)
    except MediaError:
        return None
    return now if now.sha256 == made_from.sha256 else None


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
