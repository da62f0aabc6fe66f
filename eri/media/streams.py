"""Opening media files, reading their packets and decoding them, past damage and within limits."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

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

MAX_PIXELS = 8192 * 8192
"""Larger images are refused: a few bytes can declare an image that fills the memory."""
MAX_PACKETS = 20_000_000
"""About a week of video. A file with more is broken or built to keep us busy."""
MAX_DAMAGED = 300
"""Damaged packets in a row after which the rest of a stream is given up."""
_ATTACHED = Disposition.attached_pic | Disposition.timed_thumbnails
_FATAL = (av.MemoryError, av.TimeoutError, av.ExitError)
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

Frame = TypeVar("Frame", VideoFrame, AudioFrame)


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


class Damage:
    """What went wrong while a stream was read and decoded."""

    def __init__(self) -> None:
        self.packets = 0  # that did not decode
        self.flawed = 0  # frames that decoded with errors, which the decoder has covered up
        self.cut: str | None = None  # why the file could not be read to its end
        self._first: av.FFmpegError | None = None

    @property
    def none(self) -> bool:
        """Whether nothing went wrong."""
        return not self.packets and not self.flawed and self.cut is None

    def add(self, error: av.FFmpegError) -> None:
        """Count a packet that did not decode; an error that is not about the packet (memory, disk) is raised again."""
        if isinstance(error, _FATAL):
            raise error
        self.packets += 1
        self._first = self._first or error

    def notes(self, what: str) -> Iterator[str]:
        """Say it in words; ``what`` names the stream: video or audio."""
        if self.cut is not None:
            yield f"the file cannot be read to its end: {self.cut}"
        if self.packets:
            yield f"damaged {what} packets left out: {self.packets}"
        if self.flawed:
            yield f"{what} frames decoded with errors: {self.flawed}"

    def error(self, path: Path, what: str) -> MediaError:
        """Return the error for a stream of which nothing decoded."""
        if isinstance(self._first, (av.DecoderNotFoundError, av.PatchWelcomeError, av.NotImplementedError)):
            message = f"FFmpeg cannot decode its {what}: {self._first.strerror}"
            return UnsupportedMediaError(path, message, hint="Convert the file to H.264 and AAC.")
        return TruncatedMediaError(path, f"nothing of its {what} decodes", hint="Fetch the file again.")


def has_decoder(stream: Stream) -> bool:
    """Return whether FFmpeg can decode a stream. PyAV gives one that it cannot no codec context, against its stub."""
    return getattr(stream, "codec_context", None) is not None


def guard(stream: VideoStream, path: Path) -> None:
    """Prepare a stream for decoding by one thread; without a decoder, or with too large images, it is an error."""
    if not has_decoder(stream):
        raise UnsupportedMediaError(path, "FFmpeg has no decoder for its video stream", hint="Convert it to H.264.")
    if stream.width * stream.height > MAX_PIXELS:
        raise OversizedMediaError(path, f"declares frames of {stream.width} x {stream.height} pixels")
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    # Clips are decoded side by side by the workers: one thread each spends the least time and memory in all.
    stream.thread_type, stream.thread_count = ThreadType.AUTO, 1


def video_streams(container: InputContainer) -> list[VideoStream]:
    """Return the streams that are moving images, without cover art and thumbnails; those with a decoder first."""
    moving = [stream for stream in container.streams.video if not stream.disposition & _ATTACHED]
    return sorted(moving, key=lambda stream: not has_decoder(stream))


def audio_streams(container: InputContainer) -> list[AudioStream]:
    """Return the audio tracks; those with a decoder first."""
    return sorted(container.streams.audio, key=lambda stream: not has_decoder(stream))


def packets(container: InputContainer, streams: Sequence[Stream], damage: Damage) -> Iterator[Packet[Stream]]:
    """Demux some streams, and no others where the format allows it, as far as the file can be read.

    The last packet of each stream is empty; decoding it flushes the decoder. (Its ``stream`` is right, its
    ``stream_index`` is not.)
    """
    if not streams:  # PyAV would take this for all of them
        return
    wanted = {stream.index for stream in streams}
    for stream in container.streams:
        stream.discard = Discard.default if stream.index in wanted else Discard.all
    source = container.demux(streams)
    for _ in range(MAX_PACKETS):
        try:
            packet = next(source)
        except StopIteration:
            return
        except _FATAL:
            raise
        except av.FFmpegError as error:
            damage.cut = error.strerror
            break
        yield packet
    else:
        raise OversizedMediaError(Path(container.name.removeprefix("file:")), f"more than {MAX_PACKETS} packets")
    for stream in streams:  # the flush that the broken demuxer no longer gives
        empty: Packet[Stream] = Packet()
        empty.stream = stream
        yield empty


def decoded(source: Iterator[Packet[Stream]], kind: type[Frame], damage: Damage) -> Iterator[Frame]:
    """Decode one stream's packets, leaving out the damaged ones; give up after ``MAX_DAMAGED`` of them in a row."""
    in_a_row = 0
    for packet in source:
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            damage.add(error)
            in_a_row += 1
            if in_a_row >= MAX_DAMAGED:
                return
            continue
        for frame in frames:
            in_a_row = 0
            if isinstance(frame, kind):
                damage.flawed += frame.is_corrupt
                yield frame
