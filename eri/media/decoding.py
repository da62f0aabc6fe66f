"""Decoding the images that are wanted and as few others as possible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from eri.media.streams import Damage, decoded, guard, packets
from eri.media.timeline import Timeline, clip_start, pixel_aspect

MIN_SKIP = 24
"""Images that jumping to a key frame must save; below this, decoding straight on is as quick."""
_INDEXED = ("mov", "matroska")
TICK = 1e-6
"""Seconds by which two times of one image may differ from rounding."""


class SeekError(Exception):
    """Jumping to a key frame did not lead to the images that the timeline promised there."""


@dataclass(frozen=True)
class Segment:
    """A run of wanted images that are decoded in one go.

    Attributes:
        key: Seconds of the key frame to jump to; None decodes from the file's beginning.
        rows: Which of the wanted images, as a range of their indices.
    """

    key: float | None
    rows: range


def plan(timeline: Timeline, wanted: NDArray[np.float64], *, seek: bool) -> list[Segment]:
    """Split wanted images where a jump to a key frame spares at least ``MIN_SKIP`` images.

    Args:
        timeline: Of the video stream.
        wanted: Onsets of the wanted images, ascending, (rows,).
        seek: Whether jumping is possible.
    """
    if not seek or not len(timeline.keys):
        return [Segment(None, range(len(wanted)))]
    at = np.searchsorted(timeline.onsets, wanted + TICK) - 1
    keys = timeline.keys[np.maximum(np.searchsorted(timeline.keys, wanted + TICK) - 1, 0)]
    key_at = np.searchsorted(timeline.onsets, keys - TICK)
    before = np.concatenate(([-1], at[:-1]))
    jumps = np.flatnonzero((key_at - before - 1 >= MIN_SKIP) & (keys <= wanted + TICK))
    edges = sorted({0, *jumps.tolist(), len(wanted)})
    keyed = set(jumps.tolist())
    return [
        Segment(float(keys[first]) if first in keyed else None, range(first, last)) for first, last in pairwise(edges)
    ]


def choose(
    frames: Iterator[tuple[float, VideoFrame]], wanted: NDArray[np.float64]
) -> Iterator[tuple[float, VideoFrame]]:
    """Pick from decoded frames the one that is on screen at each wanted onset.

    Args:
        frames: Seconds and frame, ascending; read no further than needed.
        wanted: Ascending onsets, (rows,).

    Yields:
        One pair a row, in order, until the frames run out. Where the wanted frame is lost, the one before it stands
        in, or at the very beginning the one after it.
    """
    row, previous = 0, None
    for pair in frames:
        while row < len(wanted) and wanted[row] < pair[0] - TICK:
            yield previous or pair
            row += 1
        while row < len(wanted) and wanted[row] <= pair[0] + TICK:
            yield pair
            row += 1
        if row == len(wanted):
            return
        previous = pair


class Decoder:
    """Decodes one video stream of an open file.

    Given the images that are wanted, it leaves out others that no image is decoded from (half of what common encoders
    write); the wanted ones are the same, bit for bit.

    Attributes:
        reached: Seconds of the last image that decoded.
        damage: What went wrong on the way.

    Args:
        container: The open file.
        path: Its name, for errors.
        timeline: Of the stream.
        wanted: Onsets of the images that must come, (rows,); None is all of them.

    Raises:
        UnsupportedMediaError: There is no decoder.
        OversizedMediaError: The file declares larger frames than any camera's.
    """

    def __init__(
        self, container: InputContainer, path: Path, timeline: Timeline, wanted: NDArray[np.float64] | None = None
    ) -> None:
        stream = container.streams[timeline.stream]
        if not isinstance(stream, VideoStream):
            raise TypeError(f"stream {timeline.stream} of {path} is no video")
        guard(stream, path)
        self.reached: float | None = None
        self.damage = Damage()
        self._container, self._stream, self._timeline = container, stream, timeline
        self._base, self._zero = float(stream.time_base or 1), clip_start(container)
        self._wanted = None if wanted is None else {round((time + self._zero) / self._base) for time in wanted.tolist()}

    @property
    def pixel_aspect(self) -> float:
        """Width of a stored pixel over its height; 1 where the file says nothing or nothing sensible."""
        return pixel_aspect(self._stream)

    @property
    def can_seek(self) -> bool:
        """Whether the file's format keeps an index that leads exactly to its key frames."""
        return self._container.format.name.startswith(_INDEXED)

    def frames(self, key: float | None = None) -> Iterator[tuple[float, VideoFrame]]:
        """Decode images in the order of presentation.

        Args:
            key: Seconds of the key frame to jump to; None goes on from where the file stands.

        Yields:
            Seconds since the clip's start, strictly ascending, and the frame.

        Raises:
            SeekError: The jump did not lead to the key frame.
        """
        source = packets(self._container, [self._stream], self.damage)
        latest = -np.inf
        if key is not None:
            ticks, latest = round((key + self._zero) / self._base), key - TICK
            self._container.seek(ticks, stream=self._stream)
            source = _from_key(source, ticks)
        if self._wanted is not None:
            source = self._leaving_out(source, self._wanted)
        for number, frame in enumerate(decoded(source, VideoFrame, self.damage)):
            time = self._time(number, frame)
            if time > latest:
                self.reached = latest = time
                yield time, frame

    def _leaving_out(self, source: Iterator[Packet[Stream]], wanted: set[int]) -> Iterator[Packet[Stream]]:
        """Have the decoder skip, of the images that are not wanted, those that it needs for no other."""
        for packet in source:
            needed = packet.pts is None or packet.pts in wanted
            self._stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
            yield packet

    def _time(self, number: int, frame: VideoFrame) -> float:
        if self._timeline.ordered:
            return float(self._timeline.onsets[min(number, len(self._timeline.onsets) - 1)])
        return np.nan if frame.pts is None else frame.pts * self._base - self._zero


def _from_key(source: Iterator[Packet[Stream]], ticks: int) -> Iterator[Packet[Stream]]:
    """Drop packets before the key frame that the jump was for."""
    for packet in source:
        if packet.is_keyframe and packet.pts == ticks:
            yield packet
            yield from source
            return
    raise SeekError
