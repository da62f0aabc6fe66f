"""Reading the packets of an open file and decoding them, past damage and within limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from eri.errors import MediaError, OversizedMediaError, TruncatedMediaError, UnsupportedMediaError

MAX_PACKETS = 20_000_000
"""Packets read of one file; about a week of video. A file with more is broken or built to keep us busy."""
MAX_DAMAGED = 300
"""Damaged packets in a row after which the rest of a stream is given up."""
_ATTACHED = Disposition.attached_pic | Disposition.timed_thumbnails
_FATAL = (av.MemoryError, av.TimeoutError, av.ExitError)

Frame = TypeVar("Frame", VideoFrame, AudioFrame)


class Damage:
    """What went wrong while a stream was read and decoded.

    Attributes:
        packets: Packets that did not decode.
        cut: Why the file could not be read to its end; None if it could.
    """

    def __init__(self) -> None:
        self.packets = 0
        self.cut: str | None = None
        self._first: av.FFmpegError | None = None

    def add(self, error: av.FFmpegError) -> None:
        """Count a packet that did not decode.

        Raises:
            av.FFmpegError: The error is not about the packet: no memory, no answer from the disk.
        """
        if isinstance(error, _FATAL):
            raise error
        self.packets += 1
        self._first = self._first or error

    def notes(self, what: str) -> Iterator[str]:
        """Say it in words; ``what`` names the stream: pictures or sound."""
        if self.cut is not None:
            yield f"the file cannot be read to its end: {self.cut}"
        if self.packets:
            yield f"{self.packets} damaged packets of {what} were left out"

    def error(self, path: Path, what: str) -> MediaError:
        """Return the error for a stream of which nothing decoded."""
        if isinstance(self._first, (av.DecoderNotFoundError, av.PatchWelcomeError, av.NotImplementedError)):
            return UnsupportedMediaError(
                path,
                f"FFmpeg cannot decode its {what}: {self._first.strerror}",
                hint="Convert the file to H.264 and AAC.",
            )
        return TruncatedMediaError(path, f"nothing of its {what} decodes", hint="Fetch the file again.")


def video_streams(container: InputContainer) -> list[VideoStream]:
    """Return the streams that are moving pictures, without cover art and thumbnails, in the file's order."""
    return [stream for stream in container.streams.video if not stream.disposition & _ATTACHED]


def packets(container: InputContainer, streams: Sequence[Stream], damage: Damage) -> Iterator[Packet[Stream]]:
    """Demux some streams to the end, or as far as the file can be read.

    The other streams are not read at all where the format allows it. The last packet of each stream is empty; decoding
    it flushes the decoder. (Its ``stream`` is right, its ``stream_index`` is not.)

    Args:
        container: An open file.
        streams: The streams wanted.
        damage: Told why the packets end before the file does.

    Raises:
        OversizedMediaError: More than ``MAX_PACKETS`` packets.
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
    """Decode packets, leaving out the damaged ones; give up after ``MAX_DAMAGED`` of them in a row.

    Args:
        source: Packets of one stream.
        kind: What the stream's frames are.
        damage: Told of each packet left out.
    """
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
                yield frame
