"""A window that slides over a video, each predicted as a clip of its own, from rows of frames that windows share."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from eri.extraction.extractors.crops import CropPreparer, pad_codes
from eri.extraction.extractors.preparing import AudioPreparer, ImagePreparer
from eri.features.crops import encode_image
from eri.features.records import CropSequence, Extractor, FeatureSequence, Prepared, assemble, join_codes
from eri.media.audio import SAMPLE_RATE, Audio, read_audio
from eri.media.faces import crop_faces
from eri.media.state import State
from eri.media.streams import is_folder
from eri.media.video import FrameStream
from eri.metrics.intensities import Floats
from eri.prediction.availability import Missing, check_availability, describe_states
from eri.prediction.timeline import FaceFrame, Timeline, TimelineEvent
from eri.runs.opening import OpenedRun
from eri.runs.video_extractor import VideoPreparer
from eri.utils.errors import ConfigError, DataError, MediaError, NoAudioError, NoVideoError

Span = tuple[float, float]
Features = FeatureSequence | CropSequence

_FACES = 6
_FACE_SIDE = 480
_FACE_QUALITY = 80
_ROUNDING = 1e-6


def slide(
    run: OpenedRun,
    extractors: Mapping[str, Extractor],
    video: Path,
    window: float,
    hop: float,
    on_event: Callable[[TimelineEvent], None] | None,
    windows_at_once: int,
) -> Timeline:
    """Predict a window that slides over a video, see :meth:`eri.prediction.loading.LoadedRun.timeline`.

    The extractors are those of the run, by the digest of each source.
    """
    for name, value in (("window", window), ("hop", hop)):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"--{name} is {value}; it must be a positive number of seconds")
    source = _VideoInput(run, video)
    available = check_availability(run.members, source.missing)
    if available.reason and available.empty:
        # Of two errors, the one that says more than that a track is absent.
        raise min(source.errors.values(), key=lambda error: isinstance(error, NoAudioError | NoVideoError))
    if available.reason:
        raise DataError(f"{video}: {available.reason}", hint="Predict it with a run of what it has.")
    grid = Grid.over(source.duration, window, hop)
    windows = source.open_windows(extractors, grid)
    values, missing = list[Floats](), list[str]()
    for first in range(0, grid.count, windows_at_once):
        places = range(first, min(grid.count, first + windows_at_once))
        spans = {f"window-{place:08d}": (place * grid.hop, place * grid.hop + grid.window) for place in places}
        block, reasons = _predict(run, source.missing, windows, spans)
        values.append(block)
        missing += reasons
        if on_event is not None:
            on_event(TimelineEvent(video.name, places.stop, grid.count))
    return Timeline(
        video=video,
        labels=run.task.labels,
        low=run.task.low,
        high=run.task.high,
        times=grid.starts + grid.window / 2,
        values=np.concatenate(values),
        window=grid.window,
        hop=grid.hop,
        duration=grid.duration,
        missing=tuple(missing),
        faces=tuple(face for one in windows.values() if isinstance(one, FrameWindows) for face in one.faces),
        notes=(*available.notes, *source.notes),
    )


@dataclass(frozen=True)
class Grid:
    """The windows over a video, all in seconds: the first at its start, the last ends before its end.

    Examples:
        >>> Grid.over(10.0, 4.0, 1.0).count, Grid.over(3.0, 4.0, 1.0)
        (7, Grid(duration=3.0, window=3.0, hop=3.0))
        >>> Grid.over(10.0, 4.0, 1.0).frames(32)[:2].tolist()
        [0.0625, 0.1875]
    """

    duration: float
    window: float
    hop: float  # from the start of one window to that of the next

    @classmethod
    def over(cls, duration: float, window: float, hop: float) -> Grid:
        """Lay windows over a video; a shorter video is one window."""
        return cls(duration, duration, duration) if duration <= window else cls(duration, window, hop)

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
        """Return the moments of so many frames a window, so that windows that overlap share theirs.

        A hop is cut into even parts whose centres are the moments; a window of ``window / hop`` hops then has the
        frames that reading it alone would give, where the hop divides it, or about as many.
        """
        step = self.hop / max(1, round(wanted * self.hop / self.window))
        end = float(self.starts[-1]) + self.window
        moments: Floats = (np.arange(max(1, math.ceil(end / step - 0.5 - _ROUNDING)), dtype=np.float64) + 0.5) * step
        return moments

    def last_frames(self, onsets: Floats, wanted: int) -> Floats:
        """Return the moments of the last frames of every window, each once, ascending.

        ``onsets`` is when the video's frames appear, ascending; a window in which none does has the one on screen.

        Examples:
            >>> Grid.over(2.0, 1.0, 1.0).last_frames(np.arange(8) / 4, 2).tolist()
            [0.5, 0.75, 1.5, 1.75]
        """
        first, last = (np.searchsorted(onsets, self.starts + reach) for reach in (0.0, self.window))
        inside = [onsets[max(a, b - wanted) : b] for a, b in zip(first, last, strict=True)]
        empty = self.starts[first == last] + self.window / 2
        return np.unique(np.concatenate([*inside, empty]))


class _VideoInput:
    """A video opened for what a run reads of it, and why a modality (by name) is not there."""

    def __init__(self, run: OpenedRun, path: Path) -> None:
        self.path = path
        self.frames: FrameStream | None = None
        self.audio: Audio | None = None
        self.errors: dict[str, MediaError] = {}
        read = {source.modality for source in run.sources.values()}
        if "visual" in read:
            try:
                self.frames = FrameStream(path)
            except MediaError as error:
                self.errors["visual"] = error
        if "audio" in read:
            try:
                if is_folder(path):
                    raise NoAudioError(path, "a folder of images has no audio")
                self.audio = read_audio(path)
            except MediaError as error:
                self.errors["audio"] = error
        self.missing = {
            name: Missing("no audio track" if isinstance(error, NoAudioError) else error.message, error=True)
            for name, error in self.errors.items()
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings met while reading, so far."""
        frames = () if self.frames is None else self.frames.notes
        return tuple(dict.fromkeys((*frames, *(() if self.audio is None else self.audio.notes))))

    @property
    def duration(self) -> float:
        """Seconds until the last frame goes or the audio ends."""
        frames = 0.0 if self.frames is None else self.frames.end
        return max(frames, 0.0 if self.audio is None else self.audio.start + self.audio.duration)

    def open_windows(self, extractors: Mapping[str, Extractor], grid: Grid) -> dict[str, Windows]:
        """Return what makes the features of windows, by the digest of their source; the first of frames keeps faces."""
        windows: dict[str, Windows] = {}
        for digest, extractor in extractors.items():
            if extractor.modality == "visual" and self.frames is not None:
                first = not any(isinstance(one, FrameWindows) for one in windows.values())
                frames = self.frames if first else FrameStream(self.path)
                windows[digest] = FrameWindows(extractor, frames, grid, faces=first)
            elif extractor.modality == "audio" and self.audio is not None:
                windows[digest] = AudioWindows(extractor, self.audio)
        return windows


@dataclass(frozen=True, eq=False)
class _Row:
    """One moment of a video: its second, its :class:`State`, and the embedding or encoded crop of a valid row."""

    time: float
    state: int
    value: np.ndarray[Any, np.dtype[Any]] | None


class FrameWindows:
    """Makes rows of frames in the order of time and cuts them into windows; it keeps the rows of the latest window.

    The extractor embeds face crops, keeps them, or embeds windows of them. ``faces`` are a few frames to be shown, with
    the face that was found.
    """

    def __init__(self, extractor: Extractor, stream: FrameStream, grid: Grid, *, faces: bool) -> None:
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

    def cut(self, spans: Iterable[Span]) -> Iterator[Features]:
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
            rows = [row for row in self._kept if row.time < end][-self._most :]
            yield self._join(rows or [_Row((start + end) / 2, State.NO_FACE, None)])

    def _make(self, stream: FrameStream, times: Floats) -> Iterator[_Row]:
        """Crop and embed the frames of a video, some at a time."""
        for frames in stream.blocks(times):
            crops = crop_faces(frames, self._images.faces, self._images.side, device=self._images.device)
            for time, frame, box in zip(frames.times.tolist(), frames.frames, crops.boxes, strict=True):
                if self._shown and time >= self._shown[0]:
                    self._shown.popleft()
                    self.faces.append(_face_frame(time, frame, box))
            prepared = Prepared("frames", crops.images, frames.times, crops.states)
            if self._encoder is not None:
                values = iter(self._encoder.encode(prepared).inputs)
            else:
                values = iter(self._extractor.embed([prepared])[0] if len(crops.images) else ())
            for time, state in zip(frames.times.tolist(), crops.states.tolist(), strict=True):
                yield _Row(time, state, next(values) if state == State.VALID else None)

    def _join(self, rows: Sequence[_Row]) -> Features:
        """Return the features of one window."""
        times = np.array([row.time for row in rows])
        states = np.array([row.state for row in rows], dtype=np.uint8)
        values = [row.value for row in rows if row.value is not None]
        nothing = np.zeros((0, self._extractor.dimension), dtype=np.float32)
        if self._encoder is None:
            return assemble(Prepared("window", nothing, times, states), np.stack(values) if values else nothing)
        codes = pad_codes(values)
        prepared = Prepared("window", codes, times, states, encoded=True)
        if self._video is None:
            return join_codes(prepared, codes)
        cut = self._video.cut(prepared)
        return assemble(cut, self._extractor.embed([cut])[0] if values else nothing)


def _face_frame(time: float, image: np.ndarray[Any, np.dtype[np.uint8]], box: np.ndarray[Any, Any]) -> FaceFrame:
    height, width = image.shape[:2]
    scale = min(1.0, _FACE_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    x0, y0, x1, y1 = (float(value) * scale for value in box)
    found = (x0, y0, x1, y1) if np.isfinite(box).all() else None
    return FaceFrame(time, encode_image(small, _FACE_QUALITY).tobytes(), *size, found)


class AudioWindows:
    """Makes the features of the audio of each window."""

    def __init__(self, extractor: Extractor, audio: Audio) -> None:
        preparer = extractor.preparer
        if not isinstance(preparer, AudioPreparer):
            raise ConfigError(f"{extractor.name}: its features of a sliding window cannot be made")
        self._extractor, self._preparer, self._audio = extractor, preparer, audio

    def cut(self, spans: Iterable[Span]) -> Iterator[Features]:
        """Yield the features of windows; one that the audio does not reach has a row without audio."""
        nothing = np.zeros((0, self._extractor.dimension), dtype=np.float32)
        for start, end in spans:
            first, last = (max(0, round((second - self._audio.start) * SAMPLE_RATE)) for second in (start, end))
            samples = np.asarray(self._audio.samples[first:last])
            if len(samples):
                prepared = self._preparer.lay("window", samples, self._audio.start + first / SAMPLE_RATE)
            else:
                row = np.full(1, State.NO_AUDIO, dtype=np.uint8)
                prepared = Prepared("window", nothing, np.array([(start + end) / 2]), row)
            valid = bool((prepared.states == State.VALID).any())
            yield assemble(prepared, self._extractor.embed([prepared])[0] if valid else nothing)


Windows = FrameWindows | AudioWindows


def _predict(
    run: OpenedRun, missing: Mapping[str, Missing], windows: Mapping[str, Windows], spans: Mapping[str, Span]
) -> tuple[Floats, list[str]]:
    """Make the features of some windows and predict them; NaN and a reason where one has nothing."""
    lacking = [dict(missing) for _ in spans]
    features: dict[str, dict[str, Features]] = {digest: {} for digest in run.sources}
    for digest, source in windows.items():
        for clip_id, lacks, sequence in zip(spans, lacking, source.cut(spans.values()), strict=True):
            features[digest][clip_id] = sequence
            counts = np.bincount(sequence.states, minlength=len(State)).tolist()
            if (lack := describe_states(counts)) is not None:
                lacks[run.sources[digest].modality] = lack
    reasons = []
    for lacks in lacking:
        available = check_availability(run.members, lacks)
        words = "; ".join(dict.fromkeys(lack.words for lack in lacks.values()))
        reasons.append(words if available.reason or available.empty else "")
    kept = [clip_id for clip_id, reason in zip(spans, reasons, strict=True) if not reason]
    predicted = run.predict(features, kept)
    return predicted.reindex(list(spans))[list(run.task.labels)].to_numpy(dtype=np.float64), reasons
