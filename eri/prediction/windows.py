"""Windows that slide over a video: their grid of frames, and their features, from rows of frames that windows share."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from eri.extraction.extractors.crops import CropPreparer
from eri.extraction.extractors.preparing import AudioPreparer, ImagePreparer
from eri.features.crops import encode_image
from eri.features.records import CropSequence, FeatureSequence, Prepared, assemble, join_codes
from eri.media.audio import SAMPLE_RATE, Audio
from eri.media.faces import Crops, crop_faces
from eri.media.state import State
from eri.media.video import FrameSequence, FrameStream
from eri.metrics.intensities import Floats
from eri.prediction.extractors import RecordedExtractor
from eri.prediction.timeline import FaceFrame
from eri.runs.video_extractor import VideoPreparer
from eri.utils.errors import ConfigError

Span = tuple[float, float]
Features = FeatureSequence | CropSequence

_FACES = 6
_FACE_SIDE = 480
_FACE_QUALITY = 80
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Grid:
    """The windows over a video: the first at its start, the last ends before its end.

    Attributes:
        duration: Seconds of the video.
        window: Seconds of a window; a shorter video is one window.
        hop: Seconds from the start of one window to that of the next.

    Examples:
        >>> Grid.over(10.0, 4.0, 1.0).count, Grid.over(3.0, 4.0, 1.0)
        (7, Grid(duration=3.0, window=3.0, hop=3.0))
        >>> Grid.over(10.0, 4.0, 1.0).frames(32)[:2].tolist()
        [0.0625, 0.1875]
    """

    duration: float
    window: float
    hop: float

    @classmethod
    def over(cls, duration: float, window: float, hop: float) -> Grid:
        """Lay windows over a video."""
        if duration <= window:
            return cls(duration, duration, duration)
        return cls(duration, window, hop)

    @property
    def count(self) -> int:
        """Number of windows."""
        return 1 + math.floor((self.duration - self.window) / self.hop + _ROUNDING)

    @property
    def starts(self) -> Floats:
        """Start of each window in seconds, float64 (windows,)."""
        starts: Floats = np.arange(self.count, dtype=np.float64) * self.hop
        return starts

    def frames(self, wanted: int) -> Floats:
        """Return the moments of frames, so that windows that overlap share theirs.

        A hop is cut into even parts whose centres are the moments; a window of ``window / hop`` hops then has the
        frames that reading it alone would give, where the hop divides it, or about as many.

        Args:
            wanted: Frames of a window.
        """
        step = self.hop / max(1, round(wanted * self.hop / self.window))
        end = float(self.starts[-1]) + self.window
        moments: Floats = (np.arange(max(1, math.ceil(end / step - 0.5 - _ROUNDING)), dtype=np.float64) + 0.5) * step
        return moments

    def last_frames(self, onsets: Floats, wanted: int) -> Floats:
        """Return the moments of the last frames of every window, each once, ascending.

        Args:
            onsets: When the video's frames appear, ascending; a window in which none does has the one on screen.
            wanted: Frames of a window.

        Examples:
            >>> Grid.over(2.0, 1.0, 1.0).last_frames(np.arange(8) / 4, 2).tolist()
            [0.5, 0.75, 1.5, 1.75]
        """
        first, last = (np.searchsorted(onsets, self.starts + reach) for reach in (0.0, self.window))
        inside = [onsets[max(a, b - wanted) : b] for a, b in zip(first, last, strict=True)]
        empty = self.starts[first == last] + self.window / 2
        return np.unique(np.concatenate([*inside, empty]))


@dataclass(frozen=True, eq=False)
class _Row:
    """One moment of a video.

    Attributes:
        time: Its second.
        state: A :class:`State`.
        value: The embedding, or the encoded crop, of a valid row.
    """

    time: float
    state: int
    value: np.ndarray[Any, np.dtype[Any]] | None


class FrameWindows:
    """Makes rows of frames in the order of time and cuts them into windows; it keeps the rows of the latest window.

    Attributes:
        faces: A few frames with the face that was found.

    Args:
        extractor: Embeds face crops, keeps them, or embeds windows of them.
        stream: The frames of the video.
        grid: The windows.
        faces: Keep frames to be shown.

    Raises:
        ConfigError: The extractor reads something else than face crops.
    """

    def __init__(self, extractor: RecordedExtractor, stream: FrameStream, grid: Grid, *, faces: bool) -> None:
        self.faces: list[FaceFrame] = []
        self._extractor = extractor
        preparer = extractor.preparer
        self._video = preparer if isinstance(preparer, VideoPreparer) else None
        crops = preparer.crops if isinstance(preparer, VideoPreparer) else preparer
        self._encoder = crops if isinstance(crops, CropPreparer) else None
        images = crops.images if isinstance(crops, CropPreparer) else crops
        if not isinstance(images, ImagePreparer):
            raise ConfigError(f"{extractor.name}: its features of a sliding window cannot be made")
        self._images = images
        last = images.take == "last"
        times = grid.last_frames(stream.onsets, images.frames) if last else grid.frames(images.frames)
        self._most = images.frames if last else len(times)
        self._shown = deque(times[np.linspace(0, len(times) - 1, 2 * _FACES + 1).astype(int)[1::2]] if faces else [])
        self._coming = self._make(stream, times)
        self._kept: deque[_Row] = deque()

    def cut(self, spans: Sequence[Span]) -> Iterator[Features]:
        """Yield the features of windows, whose starts and ends ascend from call to call."""
        for start, end in spans:
            while self._kept and self._kept[0].time < start:
                self._kept.popleft()
            while not self._kept or self._kept[-1].time < end:
                row = next(self._coming, None)
                if row is None:
                    break
                if row.time >= start:
                    self._kept.append(row)
            yield self._join([row for row in self._kept if row.time < end][-self._most :], (start + end) / 2)

    def _make(self, stream: FrameStream, times: Floats) -> Iterator[_Row]:
        """Crop and embed the frames of a video, some at a time."""
        for frames in stream.blocks(times):
            crops = crop_faces(frames, self._images.faces, self._images.side, device=self._images.device)
            self._show(frames, crops)
            prepared = Prepared("frames", crops.images, frames.times, crops.states)
            if self._encoder is not None:
                values = iter(self._encoder.encode(prepared).inputs)
            else:
                values = iter(self._extractor.embed([prepared])[0] if len(crops.images) else ())
            for time, state in zip(frames.times.tolist(), crops.states.tolist(), strict=True):
                yield _Row(time, state, next(values) if state == State.VALID else None)

    def _join(self, rows: Sequence[_Row], middle: float) -> Features:
        """Return the features of one window; one without a frame has a row without a face."""
        rows = rows or [_Row(middle, State.NO_FACE, None)]
        times = np.array([row.time for row in rows])
        states = np.array([row.state for row in rows], dtype=np.uint8)
        values = [row.value for row in rows if row.value is not None]
        if self._encoder is None:
            nothing = np.zeros((0, self._extractor.dimension), dtype=np.float32)
            prepared = Prepared("window", nothing, times, states)
            return assemble(prepared, np.stack(values) if values else nothing)
        codes = np.zeros((len(values), max(map(len, values), default=1)), dtype=np.uint8)
        for code, value in zip(codes, values, strict=True):
            code[: len(value)] = value
        prepared = Prepared("window", codes, times, states, encoded=True)
        if self._video is None:
            return join_codes(prepared, codes)
        cut = self._video.cut(prepared)
        embedded = self._extractor.embed([cut])[0] if values else np.zeros((0, self._extractor.dimension), np.float32)
        return assemble(cut, embedded)

    def _show(self, frames: FrameSequence, crops: Crops) -> None:
        """Keep the frames that are to be shown."""
        for row, time in enumerate(frames.times):
            if not self._shown or time < self._shown[0]:
                continue
            self._shown.popleft()
            self.faces.append(_face_frame(float(time), frames.frames[row], crops.boxes[row]))


def _face_frame(time: float, image: np.ndarray[Any, np.dtype[np.uint8]], box: np.ndarray[Any, Any]) -> FaceFrame:
    height, width = image.shape[:2]
    scale = min(1.0, _FACE_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    found = bool(np.isfinite(box).all())
    x0, y0, x1, y1 = (float(value) * scale for value in box) if found else (0.0,) * 4
    code = encode_image(small, _FACE_QUALITY).tobytes()
    return FaceFrame(time, code, size[0], size[1], (x0, y0, x1, y1) if found else None)


class AudioWindows:
    """Makes the features of the audio of each window.

    Args:
        extractor: Embeds audio.
        audio: The audio of the video.

    Raises:
        ConfigError: The extractor reads something else than audio.
    """

    def __init__(self, extractor: RecordedExtractor, audio: Audio) -> None:
        preparer = extractor.preparer
        if not isinstance(preparer, AudioPreparer):
            raise ConfigError(f"{extractor.name}: its features of a sliding window cannot be made")
        self._extractor, self._preparer, self._audio = extractor, preparer, audio

    def cut(self, spans: Sequence[Span]) -> Iterator[Features]:
        """Yield the features of windows; one that the audio does not reach has a row without audio."""
        nothing = np.zeros((0, self._extractor.dimension), dtype=np.float32)
        for start, end in spans:
            first, last = (max(0, round((second - self._audio.start) * SAMPLE_RATE)) for second in (start, end))
            samples = np.asarray(self._audio.samples[first:last])
            if not len(samples):
                row = np.full(1, State.NO_AUDIO, dtype=np.uint8)
                yield assemble(Prepared("window", nothing, np.array([(start + end) / 2]), row), nothing)
                continue
            prepared = self._preparer.lay("window", samples, self._audio.start + first / SAMPLE_RATE)
            valid = bool((prepared.states == State.VALID).any())
            yield assemble(prepared, self._extractor.embed([prepared])[0] if valid else nothing)
