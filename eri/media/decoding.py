"""Decoding the images that are wanted and as few others as possible."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import dropwhile, pairwise
from pathlib import Path
from typing import NamedTuple

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
_INDEXED = ("mov", "matroska")  # formats with an index that leads exactly to key frames
TICK = 1e-6
"""Seconds by which two times of one image may differ from rounding."""


class Segment(NamedTuple):
    """A run of wanted images that are decoded in one go."""

    key: float | None  # seconds of the key frame to jump to; None decodes from the file's beginning
    rows: range  # which of the wanted images


def plan(timeline: Timeline, wanted: NDArray[np.float64], *, seek: bool) -> list[Segment]:
    """Split wanted images (ascending onsets) where a jump, if allowed, to a key frame spares ``MIN_SKIP`` images."""
    if not seek or not len(timeline.keys):
        return [Segment(None, range(len(wanted)))]
    at = np.searchsorted(timeline.onsets, wanted + TICK) - 1
    keys = timeline.keys[np.maximum(np.searchsorted(timeline.keys, wanted + TICK) - 1, 0)]
    key_at = np.searchsorted(timeline.onsets, keys - TICK)
    before = np.concatenate(([-1], at[:-1]))
    jumps = set(np.flatnonzero((key_at - before - 1 >= MIN_SKIP) & (keys <= wanted + TICK)).tolist())
    edges = pairwise(sorted({0, *jumps, len(wanted)}))
    return [Segment(float(keys[first]) if first in jumps else None, range(first, last)) for first, last in edges]


def choose(
    frames: Iterator[tuple[float, VideoFrame]], wanted: NDArray[np.float64]
) -> Iterator[tuple[float, VideoFrame]]:
    """Pick from decoded frames, with their seconds, the one that is on screen at each wanted onset; both ascend.

    Yields one pair a row until the frames run out, and reads no further than needed. Where the wanted frame is lost,
    the one before it stands in, or at the very beginning the one after it.
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

    Given the onsets of the images that are wanted (None: all), it leaves out others that no image is decoded from
    (half of what common encoders write); the wanted ones are the same, bit for bit. Without a decoder for the stream,
    or with frames larger than any camera's, it raises a MediaError.
    """

    def __init__(
        self, container: InputContainer, path: Path, timeline: Timeline, wanted: NDArray[np.float64] | None = None
    ) -> None:
        stream = container.streams[timeline.stream]
        assert isinstance(stream, VideoStream)
        guard(stream, path)
        self.reached: float | None = None  # seconds of the last image that decoded
        self.damage = Damage()
        self.pixel_aspect = pixel_aspect(stream)
        self.can_seek = container.format.name.startswith(_INDEXED)
        self._container, self._stream, self._timeline = container, stream, timeline
        self._base, self._zero = float(stream.time_base or 1), clip_start(container)
        self._wanted = None if wanted is None else {round((time + self._zero) / self._base) for time in wanted.tolist()}

    def frames(self, key: float | None = None) -> Iterator[tuple[float, VideoFrame]]:
        """Decode images in the order of presentation, each with its seconds since the clip's start.

        It goes on from where the file stands, or jumps to the key frame at ``key`` seconds first; none come where that
        does not lead to it.
        """
        source = packets(self._container, [self._stream], self.damage)
        latest = -np.inf
        if key is not None:
            ticks, latest = round((key + self._zero) / self._base), key - TICK
            self._container.seek(ticks, stream=self._stream)
            source = dropwhile(lambda packet: not packet.is_keyframe or packet.pts != ticks, source)
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
