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


@dataclass(frozen=True, eq=False)
class Timeline:
    """The presentation times of a video stream's images.

    Attributes:
        stream: Index of the stream in its file.
        onsets: Seconds at which images appear, ascending and distinct, float64 (images,).
        end: Seconds at which the last image goes.
        keys: Seconds of the images that decoding can start from, ascending.
        ordered: The file does not say when each image appears; the n-th decoded image is the n-th of ``onsets``.
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
        """Seconds at which the first image appears."""
        return float(self.onsets[0])

    @property
    def frame_rate(self) -> float | None:
        """Mean frames per second; None for a single image of no known duration."""
        return len(self.onsets) / (self.end - self.start) if self.end > self.start else None

    @property
    def variable(self) -> bool:
        """Whether the time between images changes by more than rounding does (a tenth of it, at least 2 ms)."""
        gaps = np.diff(self.onsets)
        if len(gaps) < 2:
            return False
        middle = float(np.median(gaps))
        return bool(np.abs(gaps - middle).max() > max(0.1 * middle, 0.0021))


class Track:
    """Packet times of one stream, in ticks of its time base, eight bytes a number.

    Attributes:
        stream: The stream.
        count: Packets that are presented.
        hidden: Packets that an edit list hides, or that only repeat the one before.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.count = self.hidden = self.last_duration = 0
        self.earliest: int | None = None
        self.latest: int | None = None
        self.pts, self.dts, self.keys = array("q"), array("q"), array("q")

    def add(self, packet: Packet[Stream]) -> None:
        """Take note of one packet."""
        if packet.is_discard or not packet.size:
            self.hidden += 1
            return
        self.count += 1
        if packet.pts is not None:
            if self.latest is None or packet.pts > self.latest:
                self.latest, self.last_duration = packet.pts, packet.duration or 0
            self.earliest = packet.pts if self.earliest is None else min(self.earliest, packet.pts)
        if self.stream.type == "video":
            self._add_image(packet)

    def _add_image(self, packet: Packet[Stream]) -> None:
        if packet.dts is not None:
            self.dts.append(packet.dts)
        if packet.pts is not None:
            self.pts.append(packet.pts)
            if packet.is_keyframe:
                self.keys.append(packet.pts)

    @property
    def base(self) -> float:
        """Seconds in a tick."""
        return float(self.stream.time_base or 1)

    @property
    def duration(self) -> float | None:
        """Seconds from the first packet's beginning to the last one's end; None without times."""
        if self.earliest is None or self.latest is None:
            return None
        return (self.latest + self.last_duration - self.earliest) * self.base

    def end(self, zero: float) -> float | None:
        """Return the second at which the last packet ends; None without times."""
        return None if self.latest is None else (self.latest + self.last_duration) * self.base - zero

    @property
    def ordered(self) -> bool:
        """Whether some images lack a presentation time, so that only their order counts."""
        return len(self.pts) < self.count

    def onsets(self, zero: float) -> NDArray[np.float64]:
        """Return when each image appears; without presentation times, from decoding times or the nominal rate."""
        if not self.ordered:
            return _seconds(self.pts, self.base) - zero
        steps = _seconds(self.dts, self.base)
        if len(steps) < self.count:
            rate = self.stream.guessed_rate or self.stream.average_rate or _USUAL_RATE
            steps = np.arange(self.count) / float(rate)
        begin = 0.0 if self.stream.start_time is None else self.stream.start_time * self.base - zero
        return np.asarray(steps - steps[0] + begin, dtype=np.float64)


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
    """Read the presentation times of a file's first video stream that holds images.

    Args:
        container: The file, freshly opened; it is read to its end.
        path: Named in errors.

    Raises:
        NoVideoError: No video stream, or none with an image. Cover art is not video.
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
    """Return the timeline of the first video track that holds images.

    Args:
        tracks: Of moving images, in the file's order.
        zero: The clip's start on the file's clock, in seconds.
        path: Named in errors.
        notes: Problems met so far.

    Raises:
        NoVideoError: No track, or none with an image.
    """
    if not tracks:
        raise NoVideoError(path, "holds no video stream")
    for track in tracks:
        if track.count:
            return _timeline(track, zero, list(notes))
    raise NoVideoError(path, "its video stream holds no frames")


def _timeline(track: Track, zero: float, notes: list[str]) -> Timeline:
    onsets = track.onsets(zero)
    step = float(np.median(np.diff(onsets))) if len(onsets) > 1 else float(1 / _USUAL_RATE)
    last = track.last_duration * track.base
    if track.ordered or last < step / 2:  # some formats give every packet a duration of one tick
        last = step
    keys = _seconds(track.keys, track.base) - zero
    end, declared = float(onsets[-1]) + last, declared_end(track.stream, zero)
    if (widest := float(np.diff(onsets).max(initial=0.0))) > _LONG_GAP:
        notes.append(f"no new frame appears for {widest:.1f} s")
    if declared is not None and end < declared - max(_EARLY_SECONDS, _EARLY_SHARE * declared):
        notes.append(f"the file ends early: it has frames until {end:.2f} s of the {declared:.2f} s it announces")
    return Timeline(track.stream.index, onsets, end, keys, track.ordered, tuple(notes))
