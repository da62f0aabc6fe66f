"""Opening media files: what may be opened, and what each failure is called."""

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
_BEGINNINGS = (
    *(b"RIFF", b"RF64", b"\x1aE\xdf\xa3", b"OggS", b"fLaC", b"ID3", b"FLV\x01"),
    *(b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"0&\xb2u\x8ef\xcf\x11"),
)
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide")  # of the MP4 family, after four bytes of length


def is_folder(path: Path) -> bool:
    """Return whether a folder is there; False also where nothing can be looked at, which opening will explain."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def check_file(path: Path) -> int:
    """Return the size in bytes of a file that could be media; raise the MediaError that says why it could not."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path) from None
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
    """Open one media file for reading, and turn FFmpeg's errors, from here or from the block, into MediaErrors.

    Only the file itself is ever read: formats that point elsewhere (playlists) are refused.
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
        return _missing(path)
    if isinstance(error, av.IsADirectoryError):
        return NotAFileError(path, "is a folder, not a media file")
    if isinstance(error, (av.DecoderNotFoundError, av.PatchWelcomeError, av.NotImplementedError)):
        message = f"FFmpeg cannot decode this: {error.strerror}"
        return UnsupportedMediaError(path, message, hint="Convert the file, for example to H.264 and AAC.")
    if isinstance(error, (av.TimeoutError, av.ExitError)):
        return MediaTimeoutError(path, f"reading took longer than {_IO_SECONDS:.0f} s", hint="Is the disk reachable?")
    if isinstance(error, av.MemoryError):
        return OversizedMediaError(path, "needs more memory than there is, or is damaged so that it seems to")
    return None


def _missing(path: Path) -> MediaError:
    return MissingMediaError(path, "no such file", hint="Check the path in the data set's table.")


def _forbidden(path: Path) -> MediaError:
    return ForbiddenMediaError(path, "may not be read by this user", hint="Change its permissions (chmod +r).")


def _not_opened(path: Path) -> MediaError:
    """Tell a media file that was cut short from a file that never was media."""
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
    except OSError as error:
        return MediaError(path, f"cannot be read: {error.strerror}", hint="Is the disk healthy and reachable?")
    if head.startswith(_BEGINNINGS) or head[4:8] in _FIRST_BOXES:
        message = "begins as a media file but its index or data is cut off or damaged"
        return TruncatedMediaError(path, message, hint="Fetch the file again.")
    return NotMediaError(path, "is not a video or audio file that FFmpeg knows", hint="Check its type with `file`.")
