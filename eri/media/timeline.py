"""When each image of a video appears and goes, read from the packets without decoding them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from eri.media.streams import Damage, packets, video_streams
from eri.utils.errors import NoVideoError

_USUAL_RATE = Fraction(25)
_ODDEST_PIXEL = 4
_EARLY_SECONDS = 0.5
_EARLY_SHARE = 0.02
_LONG_GAP = 10.0
_HEADERLESS = frozenset({"mpeg", "mpegts", "mp3"})  # FFmpeg guesses the length of these


def even_times(start: float, end: float, count: int) -> NDArray[np.float64]:
    """Return the centres of ``count`` equal parts of a span in seconds, float64 (count,), each in [start, end).

    Centres, not edges: the first frame is often a fade-in and the last the hand on the switch, and a clip of any
    length gives ``count`` distinct times without touching its end. A span that is not finite or ends before it starts,
    or a ``count`` under 1, is a ValueError.

    Examples:
        >>> even_times(0.0, 8.0, 4).tolist()
        [1.0, 3.0, 5.0, 7.0]
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    if not (np.isfinite(start) and np.isfinite(end) and start <= end):
        raise ValueError(f"a span must be finite and must not end before it starts: {start} to {end}")
    return start + (end - start) * (np.arange(count, dtype=np.float64) + 0.5) / count


def on_screen(onsets: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return, for each time, the index of the image on screen: the last that appeared at or before it, else the first.

    ``onsets`` are the ascending seconds at which images appear; without any, it is a ValueError.

    Examples:
        >>> on_screen(np.array([0.0, 0.1, 0.9]), np.array([0.05, 0.5, 0.9, 7.0])).tolist()
        [0, 1, 2, 2]
    """
    if not len(onsets):
        raise ValueError("no frames to choose from")
    return np.maximum(np.searchsorted(onsets, times, side="right") - 1, 0)


@dataclass(frozen=True, eq=False)
class Timeline:
    """The presentation times of a video stream's images, in seconds since the clip's start, ascending and distinct."""

    stream: int  # its index in the file
    onsets: NDArray[np.float64]  # when images appear, (images,)
    end: float  # when the last image goes
    keys: NDArray[np.float64]  # onsets of the images that decoding can start from
    ordered: bool  # the file gives no times: the n-th decoded image is the n-th of ``onsets``
    notes: tuple[str, ...] = ()

    @property
    def frame_rate(self) -> float | None:
        """Mean frames per second; None for a single image of no known duration."""
        seconds = self.end - float(self.onsets[0])
        return len(self.onsets) / seconds if seconds > 0 else None

    @property
    def variable(self) -> bool:
        """Whether the time between images changes by more than rounding does (a tenth of it, at least 2 ms)."""
        gaps = np.diff(self.onsets)
        if len(gaps) < 2:
            return False
        middle = float(np.median(gaps))
        return bool(np.abs(gaps - middle).max() > max(0.1 * middle, 0.0021))


class Track:
    """Packet times of one stream, in ticks of its time base, eight bytes a number."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.base = float(stream.time_base or 1)  # seconds in a tick
        self.count = self.last_duration = 0
        self.earliest: int | None = None
        self.latest: int | None = None
        self.pts, self.dts, self.keys = array("q"), array("q"), array("q")

    def add(self, packet: Packet[Stream]) -> None:
        """Count a packet, unless an edit list hides it or it only repeats the one before."""
        if packet.is_discard or not packet.size:
            return
        self.count += 1
        is_video = self.stream.type == "video"
        if is_video and packet.dts is not None:
            self.dts.append(packet.dts)
        if packet.pts is None:
            return
        if self.latest is None or packet.pts > self.latest:
            self.latest, self.last_duration = packet.pts, packet.duration or 0
        self.earliest = packet.pts if self.earliest is None else min(self.earliest, packet.pts)
        if is_video:
            self.pts.append(packet.pts)
            if packet.is_keyframe:
                self.keys.append(packet.pts)

    @property
    def duration(self) -> float | None:
        """Seconds from the first packet's beginning to the last one's end; None without times."""
        if self.earliest is None or self.latest is None:
            return None
        return (self.latest + self.last_duration - self.earliest) * self.base

    def end(self, zero: float) -> float | None:
        """Return the second at which the last packet ends; None without times."""
        return None if self.latest is None else (self.latest + self.last_duration) * self.base - zero

    def onsets(self, zero: float) -> NDArray[np.float64]:
        """Return when each image appears; without presentation times, from decoding times or the nominal rate."""
        if len(self.pts) == self.count:
            return _seconds(self.pts, self.base) - zero
        steps = _seconds(self.dts, self.base)
        if len(steps) < self.count:
            rate = self.stream.guessed_rate or self.stream.average_rate or _USUAL_RATE
            steps = np.arange(self.count) / float(rate)
        begin = 0.0 if self.stream.start_time is None else self.stream.start_time * self.base - zero
        return np.asarray(steps - steps[0] + begin, dtype=np.float64)

    def timeline(self, zero: float, notes: Sequence[str] = ()) -> Timeline:
        """Return the times of a video's images, with notes on gaps and an early end."""
        onsets, ordered = self.onsets(zero), len(self.pts) < self.count
        step = float(np.median(np.diff(onsets))) if len(onsets) > 1 else float(1 / _USUAL_RATE)
        last = self.last_duration * self.base
        if ordered or last < step / 2:  # some formats give every packet a duration of one tick
            last = step
        keys = _seconds(self.keys, self.base) - zero
        end, declared, found = float(onsets[-1]) + last, declared_end(self.stream, zero), list(notes)
        if (widest := float(np.diff(onsets).max(initial=0.0))) > _LONG_GAP:
            found.append(f"no new frame appears for {widest:.1f} s")
        if declared is not None and end < declared - max(_EARLY_SECONDS, _EARLY_SHARE * declared):
            found.append(f"the file ends early: it has frames until {end:.2f} s of the {declared:.2f} s it announces")
        return Timeline(self.stream.index, onsets, end, keys, ordered, tuple(found))


def _seconds(ticks: array[int], base: float) -> NDArray[np.float64]:
    return np.unique(np.frombuffer(ticks, dtype=np.int64)).astype(np.float64) * base


def clip_start(container: InputContainer) -> float:
    """Return where the clip's time zero lies on the file's own clock, in seconds.

    It is the moment at which the first stream, audio or image, begins to be presented: transport streams count from
    anywhere, and players take the same moment as zero.
    """
    start: int | None = container.start_time  # the stub leaves out that it can be unknown
    return 0.0 if start is None else start / 1_000_000


def declared_end(stream: Stream, zero: float) -> float | None:
    """Return the second at which a stream should end by its file's header; None where there is none to say it."""
    container = stream.container
    if container.format.name in _HEADERLESS:
        return None
    if stream.duration and stream.time_base:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base) - zero
    if isinstance(container, InputContainer) and container.duration and len(container.streams) == 1:
        return container.duration / 1_000_000
    return None


def pixel_aspect(stream: VideoStream) -> float:
    """Return the width of a stored pixel over its height; 1 where the file says nothing, or nothing sensible."""
    ratio = stream.sample_aspect_ratio
    return float(ratio) if ratio and 1 / _ODDEST_PIXEL <= ratio <= _ODDEST_PIXEL else 1.0


def read_timeline(container: InputContainer, path: Path) -> Timeline:
    """Read a freshly opened file to its end for the times of its first video stream that holds images.

    Without one it is a NoVideoError; cover art is not video.
    """
    damage = Damage()
    tracks = scan(packets(container, video_streams(container), damage))
    return video_timeline(list(tracks.values()), clip_start(container), path, tuple(damage.notes("video")))


def scan(source: Iterator[Packet[Stream]]) -> dict[int, Track]:
    """Read the times of packets to their end; the tracks are keyed by their stream's index."""
    tracks: dict[int, Track] = {}
    for packet in source:
        index = packet.stream.index
        if index not in tracks:
            tracks[index] = Track(packet.stream)
        if packet.size or packet.pts is not None:  # else it only flushes the decoder
            tracks[index].add(packet)
    return tracks


def video_timeline(tracks: Sequence[Track], zero: float, path: Path, notes: Sequence[str] = ()) -> Timeline:
    """Return the timeline of the first of a file's video tracks that holds images; NoVideoError where none does."""
    if not tracks:
        raise NoVideoError(path, "holds no video stream")
    for track in tracks:
        if track.count:
            return track.timeline(zero, notes)
    raise NoVideoError(path, "its video stream holds no frames")
