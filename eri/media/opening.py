"""Opening media files: what may be opened, with which limits, and what each failure is called."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer

from eri.utils.errors import (
    EmptyMediaError,
    ForbiddenMediaError,
    MediaError,
    MediaTimeoutError,
    MissingMediaError,
    NotAFileError,
    NotMediaError,
    OversizedMediaError,
    TruncatedMediaError,
    UnsupportedMediaError,
)

_IO_SECONDS = 60.0

# Playlists and scripts (HLS, DASH, concat) name other files and addresses: what is opened is the one file, or nothing.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,live_flv,asf,ogg,wav,w64,rf64,mp3,flac,aac,"
    "ac3,eac3,aiff,au,caf,amr,ape,tta,wv,dts,mxf,nut,gif,apng,h261,h263,h264,hevc,m4v,av1,obu,ivf,dv,rm,swf,vvc"
)
_SIGNATURES = (
    (0, b"RIFF"),
    (0, b"RF64"),
    (0, b"\x1aE\xdf\xa3"),
    (0, b"OggS"),
    (0, b"fLaC"),
    (0, b"ID3"),
    (0, b"FLV\x01"),
    (0, b"\x00\x00\x01\xba"),
    (0, b"\x00\x00\x01\xb3"),
    (0, b"0&\xb2u\x8ef\xcf\x11"),
    (4, b"ftyp"),
    (4, b"moov"),
    (4, b"mdat"),
    (4, b"wide"),
)


def is_folder(path: Path) -> bool:
    """Return whether a folder is there; False also where nothing can be looked at, which opening will explain."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def check_file(path: Path) -> int:
    """Return the size in bytes of a file that could be media.

    Raises:
        MissingMediaError: Nothing is there.
        NotAFileError: A folder, device or pipe is there.
        ForbiddenMediaError: It may not be looked at.
        EmptyMediaError: It has no bytes.
        MediaError: The system refuses for another reason.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise MissingMediaError(path, "no such file", hint="Check the path in the data set's table.") from None
    except PermissionError:
        raise _forbidden(path) from None
    except (OSError, ValueError) as error:
        raise MediaError(path, f"cannot be looked at: {error}") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or pipe"
        raise NotAFileError(path, f"is {kind}, not a media file")
    if status.st_size == 0:
        raise EmptyMediaError(path, "the file is empty (0 bytes)", hint="Fetch the file again.")
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise _forbidden(path)
    return status.st_size


@contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open one media file for reading, and give FFmpeg's errors, from here or from the block, their names.

    Only the file itself is ever read: formats that point elsewhere (playlists) are refused.

    Args:
        path: The file.

    Yields:
        The open container; closed when the block ends.

    Raises:
        MediaError: One of its subclasses says why; see :mod:`eri.utils.errors`.
    """
    check_file(path)
    try:
        container = av.open(
            f"file:{path}",
            mode="r",
            container_options={"protocol_whitelist": "file", "format_whitelist": _FORMATS},
            metadata_errors="replace",
            timeout=_IO_SECONDS,
        )
    except av.FFmpegError as error:
        raise _named_error(path, error) or _not_opened(path) from error
    try:
        with container:
            yield container
    except av.FFmpegError as error:
        damaged = TruncatedMediaError(path, f"is damaged: {error.strerror}", hint="Fetch the file again.")
        raise _named_error(path, error) or damaged from error


def _named_error(path: Path, error: av.FFmpegError) -> MediaError | None:
    """Return what one of FFmpeg's errors means for the user; None when it only means that it met nonsense.

    Some demuxers answer nonsense with -1 or an errno of the system, which read as "not permitted" or "input/output".
    """
    if isinstance(error, (av.FileNotFoundError, av.NotADirectoryError)):
        return MissingMediaError(path, "no such file", hint="Check the path in the data set's table.")
    if isinstance(error, av.IsADirectoryError):
        return NotAFileError(path, "is a folder, not a media file")
    if isinstance(error, (av.DecoderNotFoundError, av.PatchWelcomeError, av.NotImplementedError)):
        return UnsupportedMediaError(
            path, f"FFmpeg cannot decode this: {error.strerror}", hint="Convert the file, for example to H.264 and AAC."
        )
    if isinstance(error, (av.TimeoutError, av.ExitError)):
        return MediaTimeoutError(path, f"reading took longer than {_IO_SECONDS:.0f} s", hint="Is the disk reachable?")
    if isinstance(error, av.MemoryError):
        return OversizedMediaError(path, "needs more memory than there is, or is damaged so that it seems to")
    return None


def _forbidden(path: Path) -> MediaError:
    return ForbiddenMediaError(path, "may not be read by this user", hint="Change its permissions (chmod +r).")


def _not_opened(path: Path) -> MediaError:
    """Tell a media file that was cut short from a file that never was media."""
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
    except OSError as error:
        return MediaError(path, f"cannot be read: {error.strerror}", hint="Is the disk healthy and reachable?")
    if any(head[at : at + len(mark)] == mark for at, mark in _SIGNATURES):
        return TruncatedMediaError(
            path, "begins as a media file but its index or data is cut off or damaged", hint="Fetch the file again."
        )
    return NotMediaError(path, "is not a video or audio file that FFmpeg knows", hint="Check its type with `file`.")
