"""When each picture of a video appears and goes, read from the packets without decoding them."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from eri.errors import NoVideoError
from eri.media.container import packets, video_streams

_USUAL_RATE = Fraction(25)
_ODDEST_PIXEL = 4


@dataclass(frozen=True, eq=False)
class Timeline:
    """The presentation times of a video stream's pictures.

    Attributes:
        stream: Index of the stream in its file.
        onsets: Seconds at which pictures appear, ascending and distinct, float64 (pictures,).
        end: Seconds at which the last picture goes.
        keys: Seconds of the pictures that decoding can start from, ascending.
        ordered: The file does not say when each picture appears; the n-th decoded picture is the n-th of ``onsets``.
        notes: Problems met while reading.
    """

    stream: int
    onsets: NDArray[np.float64]
    end: float
    keys: NDArray[np.float64]
    ordered: bool
    notes: tuple[str, ...] = ()

    @property
    def start(self) -> float:
        """Seconds at which the first picture appears."""
        return float(self.onsets[0])

    @property
    def frame_rate(self) -> float | None:
        """Mean pictures a second; None for a single picture of no known duration."""
        return len(self.onsets) / (self.end - self.start) if self.end > self.start else None

    @property
    def variable(self) -> bool:
        """Whether the time between pictures changes by more than rounding does (a tenth of it, at least 2 ms)."""
        gaps = np.diff(self.onsets)
        if len(gaps) < 2:
            return False
        middle = float(np.median(gaps))
        return bool(np.abs(gaps - middle).max() > max(0.1 * middle, 0.0021))


class _Track:
    """Packet times of one stream, in ticks of its time base, eight bytes a number."""

    def __init__(self, stream: VideoStream) -> None:
        self.stream = stream
        self.pts, self.dts, self.keys = array("q"), array("q"), array("q")
        self.count = self.discarded = self.last_duration = 0
        self.latest: int | None = None

    def add(self, packet: Packet[Stream]) -> None:
        if packet.is_discard or not packet.size:  # an edit list hides this picture, or it repeats the one before
            self.discarded += 1
            return
        self.count += 1
        if packet.dts is not None:
            self.dts.append(packet.dts)
        if packet.pts is None:
            return
        self.pts.append(packet.pts)
        if packet.is_keyframe:
            self.keys.append(packet.pts)
        if self.latest is None or packet.pts > self.latest:
            self.latest, self.last_duration = packet.pts, packet.duration or 0

    @property
    def rate(self) -> Fraction:
        return self.stream.guessed_rate or self.stream.average_rate or _USUAL_RATE

    @property
    def base(self) -> float:
        return float(self.stream.time_base or 1)

    @property
    def ordered(self) -> bool:
        return len(self.pts) < self.count

    def seconds(self, zero: float) -> NDArray[np.float64]:
        """Return when each picture appears; without presentation times, from decoding times or the nominal rate."""
        if not self.ordered:
            return _seconds(self.pts, self.base) - zero
        steps = _seconds(self.dts, self.base)
        if len(steps) < self.count:
            steps = np.arange(self.count) / float(self.rate)
        begin = 0.0 if self.stream.start_time is None else self.stream.start_time * self.base - zero
        return np.asarray(steps - steps[0] + begin, dtype=np.float64)


def _seconds(ticks: array[int], base: float) -> NDArray[np.float64]:
    return np.unique(np.frombuffer(ticks, dtype=np.int64)).astype(np.float64) * base


def clip_start(container: InputContainer) -> float:
    """Return where the clip's time zero lies on the file's own clock, in seconds.

    It is the moment at which the first stream, sound or picture, begins to be presented: transport streams count from
    anywhere, and players take the same moment as zero.
    """
    start: int | None = container.start_time  # the stub leaves out that it can be unknown
    return 0.0 if start is None else start / 1_000_000


def pixel_aspect(stream: VideoStream) -> float:
    """Return the width of a stored pixel over its height; 1 where the file says nothing, or nothing sensible."""
    ratio = stream.sample_aspect_ratio
    return float(ratio) if ratio and 1 / _ODDEST_PIXEL <= ratio <= _ODDEST_PIXEL else 1.0


def read_timeline(container: InputContainer, path: Path) -> Timeline:
    """Read the presentation times of a file's first video stream that holds pictures.

    Args:
        container: The file, freshly opened; it is read to its end.
        path: Named in errors.

    Raises:
        NoVideoError: No video stream, or none with a picture. Cover art is not video.
    """
    tracks = {stream.index: _Track(stream) for stream in video_streams(container)}
    if not tracks:
        raise NoVideoError(path, "holds no video stream")
    notes: list[str] = []
    wanted: list[Stream] = [track.stream for track in tracks.values()]
    for packet in packets(container, wanted, notes):
        if packet.size or packet.pts is not None:
            tracks[packet.stream_index].add(packet)
    for track in tracks.values():
        if track.count:
            return _timeline(track, clip_start(container), notes)
    raise NoVideoError(path, "its video stream holds no pictures")


def _timeline(track: _Track, zero: float, notes: list[str]) -> Timeline:
    onsets = track.seconds(zero)
    step = float(np.median(np.diff(onsets))) if len(onsets) > 1 else float(1 / _USUAL_RATE)
    last = track.last_duration * track.base
    if track.ordered or last < step / 2:  # some formats give every packet a duration of one tick
        last = step
    keys = _seconds(track.keys, track.base) - zero
    there, declared = track.count + track.discarded, track.stream.frames
    if there < 0.98 * declared:
        notes.append(f"the file ends early: {there} of {declared} pictures are there")
    return Timeline(track.stream.index, onsets, float(onsets[-1]) + last, keys, track.ordered, tuple(notes))
