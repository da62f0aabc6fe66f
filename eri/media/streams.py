"""Reading the packets of an open file and decoding them, past damage and within limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

from eri.utils.errors import MediaError, OversizedMediaError, TruncatedMediaError, UnsupportedMediaError

MAX_PIXELS = 8192 * 8192
"""Larger images are refused: a few bytes can declare an image that fills the memory."""
MAX_PACKETS = 20_000_000
"""About a week of video. A file with more is broken or built to keep us busy."""
MAX_DAMAGED = 300
"""Damaged packets in a row after which the rest of a stream is given up."""
_ATTACHED = Disposition.attached_pic | Disposition.timed_thumbnails
_FATAL = (av.MemoryError, av.TimeoutError, av.ExitError)

Frame = TypeVar("Frame", VideoFrame, AudioFrame)


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
