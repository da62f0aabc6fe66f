"""The features of windows of a video: rows of frames that windows share, and the sound of each window."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from eri.extraction.extractors.crops import CropPreparer
from eri.extraction.extractors.preparing import ImagePreparer, SoundPreparer
from eri.features.crops import encode_image
from eri.features.records import CropSequence, FeatureSequence, Prepared, assemble, join_codes
from eri.media.audio import SAMPLE_RATE, Sound
from eri.media.faces import Crops, crop_faces
from eri.media.state import State
from eri.media.streaming import FrameStream
from eri.media.video import FrameSequence
from eri.metrics.intensities import Floats
from eri.prediction.members import RecordedExtractor
from eri.prediction.timeline import FaceFrame
from eri.runs.video_extractor import VideoPreparer
from eri.utils.errors import ConfigError

Span = tuple[float, float]
Features = FeatureSequence | CropSequence

_FACES = 6
_FACE_SIDE = 480
_FACE_QUALITY = 80


class Moments(Protocol):
    """Windows over a video; see :class:`eri.prediction.windows.Grid`."""

    def frames(self, wanted: int) -> Floats:
        """Return the moments of frames that are spread over every window."""
        ...

    def last_frames(self, onsets: Floats, wanted: int) -> Floats:
        """Return the moments of the last frames of every window."""
        ...


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


class RowStream:
    """Makes rows of frames in the order of time and cuts them into windows; it keeps the rows of the latest window.

    Attributes:
        faces: A few frames with the face that was found.

    Args:
        extractor: Embeds face crops, keeps them, or embeds windows of them.
        pictures: Of the video.
        grid: The windows.
        faces: Keep frames to be shown.

    Raises:
        ConfigError: The extractor reads something else than face crops.
    """

    def __init__(self, extractor: RecordedExtractor, pictures: FrameStream, grid: Moments, *, faces: bool) -> None:
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
        times = grid.last_frames(pictures.onsets, images.frames) if last else grid.frames(images.frames)
        self._most = images.frames if last else len(times)
        self._shown = deque(times[np.linspace(0, len(times) - 1, 2 * _FACES + 1).astype(int)[1::2]] if faces else [])
        self._coming = self._make(pictures, times)
        self._kept: deque[_Row] = deque()

    def cut(self, spans: Sequence[Span]) -> Iterator[Features]:
        """Yield the features of windows, whose begins and ends ascend from call to call."""
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

    def _make(self, pictures: FrameStream, times: Floats) -> Iterator[_Row]:
        """Crop and embed the frames of a video, some at a time."""
        for frames in pictures.blocks(times):
            crops = crop_faces(frames, self._images.faces, self._images.side, device=self._images.device)
            self._show(frames, crops)
            prepared = Prepared("frames", crops.pictures, frames.times, crops.states)
            if self._encoder is not None:
                values = iter(self._encoder.encode(prepared).inputs)
            else:
                values = iter(self._extractor.embed([prepared])[0] if len(crops.pictures) else ())
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
        """Keep the frames whose turn has come."""
        for row, time in enumerate(frames.times):
            if not self._shown or time < self._shown[0]:
                continue
            self._shown.popleft()
            self.faces.append(_face_frame(float(time), frames.frames[row], crops.boxes[row]))


def _face_frame(time: float, picture: np.ndarray[Any, np.dtype[np.uint8]], box: np.ndarray[Any, Any]) -> FaceFrame:
    height, width = picture.shape[:2]
    scale = min(1.0, _FACE_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    found = bool(np.isfinite(box).all())
    x0, y0, x1, y1 = (float(value) * scale for value in box) if found else (0.0,) * 4
    code = encode_image(small, _FACE_QUALITY).tobytes()
    return FaceFrame(time, code, size[0], size[1], (x0, y0, x1, y1) if found else None)


class SoundWindows:
    """Makes the features of the sound of each window.

    Args:
        extractor: Embeds sound.
        sound: Of the video.

    Raises:
        ConfigError: The extractor reads something else than sound.
    """

    def __init__(self, extractor: RecordedExtractor, sound: Sound) -> None:
        preparer = extractor.preparer
        if not isinstance(preparer, SoundPreparer):
            raise ConfigError(f"{extractor.name}: its features of a sliding window cannot be made")
        self._extractor, self._preparer, self._sound = extractor, preparer, sound

    def cut(self, spans: Sequence[Span]) -> Iterator[Features]:
        """Yield the features of windows; one that the sound does not reach has a row without sound."""
        nothing = np.zeros((0, self._extractor.dimension), dtype=np.float32)
        for start, end in spans:
            first, last = (max(0, round((second - self._sound.start) * SAMPLE_RATE)) for second in (start, end))
            samples = np.asarray(self._sound.samples[first:last])
            if not len(samples):
                row = np.full(1, State.NO_AUDIO, dtype=np.uint8)
                yield assemble(Prepared("window", nothing, np.array([(start + end) / 2]), row), nothing)
                continue
            prepared = self._preparer.lay("window", samples, self._sound.start + first / SAMPLE_RATE)
            valid = bool((prepared.states == State.VALID).any())
            yield assemble(prepared, self._extractor.embed([prepared])[0] if valid else nothing)
