"""A window that slides over a video: its grid of frames, and what a run makes of each window."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from eri.data.clips import Clip, ClipTable
from eri.features.folder import FeatureFolder
from eri.features.sources import Source as Origin
from eri.features.sources import stamp_source
from eri.features.store import FeatureStore
from eri.media.audio import Sound, read_sound
from eri.media.opening import is_folder
from eri.media.streaming import FrameStream
from eri.metrics.intensities import Floats
from eri.prediction.gaps import Gap, describe_states, judge_all
from eri.prediction.loading import LoadedRun
from eri.prediction.rows import RowStream, SoundWindows
from eri.prediction.timeline import FaceFrame, Timeline, TimelineEvent
from eri.training.keeping import keeping_models
from eri.utils.errors import ConfigError, DataError, MediaError, NoAudioError, NoVideoError

WINDOWS_AT_ONCE = 64
"""Windows that are predicted together. Their features pass through a temporary folder, so that memory and disk do not
grow with the video's length."""

_ROUNDING = 1e-6


@dataclass(frozen=True)
class Grid:
    """The windows over a video: the first at its begin, the last ends before its end.

    Attributes:
        duration: Seconds of the video.
        window: Seconds of a window; a shorter video is one window.
        hop: Seconds from one window's begin to the next one's.

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
        """Begin of each window in seconds, float64 (windows,)."""
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


def slide(
    loaded: LoadedRun,
    video: Path,
    *,
    window: float = 4.0,
    hop: float = 1.0,
    on_event: Callable[[TimelineEvent], None] | None = None,
) -> Timeline:
    """Predict a window that slides over a video.

    Each window is predicted as a clip of its own: as many frames as the run reads of a clip, spread over the window or
    its last ones, as the run has it, and the window's sound. The subject is looked for in 32 frames at a time, which
    windows share. Memory does not grow with the video's length.

    Args:
        loaded: The run.
        video: Any video or sound, or a folder of numbered pictures.
        window: Seconds of a window.
        hop: Seconds between two windows.
        on_event: Called after every few windows.

    Raises:
        ConfigError: A window or hop that is not a positive number.
        MediaError: The file is missing, damaged or not media, or lacks what the run reads.
        DataError: It lacks a modality that the run did not learn to do without.
    """
    for name, value in (("window", window), ("hop", hop)):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"--{name} is {value}; it must be a positive number of seconds")
    footage = Footage.open(loaded, video)
    verdict = judge_all(loaded.members, footage.gaps)
    if verdict.reason and verdict.empty:
        raise footage.error
    if verdict.reason:
        raise DataError(f"{video}: {verdict.reason}", hint="Predict it with a run of what it has.")
    grid = Grid.over(footage.duration, window, hop)
    values, missing, faces = _predict(loaded, footage, grid, on_event)
    task = loaded.task
    return Timeline(
        video=video,
        labels=task.labels,
        low=task.low,
        high=task.high,
        times=grid.starts[: len(values)] + grid.window / 2,
        values=values,
        window=grid.window,
        hop=grid.hop,
        duration=grid.duration,
        missing=tuple(missing),
        faces=faces,
        notes=(*verdict.notes, *footage.notes),
    )


@dataclass(eq=False)
class Footage:
    """A video opened for what a run reads of it.

    Attributes:
        path: The video.
        pictures: Its pictures; None where there are none or none are read.
        sound: Its sound; None where there is none or none is read.
        errors: Why a modality is not there, by its name.
    """

    path: Path
    pictures: FrameStream | None
    sound: Sound | None
    errors: dict[str, MediaError]

    @classmethod
    def open(cls, loaded: LoadedRun, path: Path) -> Footage:
        """Open a video."""
        read = {source.modality for source in loaded.sources.values()}
        pictures, sound, errors = None, None, dict[str, MediaError]()
        if "visual" in read:
            try:
                pictures = FrameStream(path)
            except MediaError as error:
                errors["visual"] = error
        if "audio" in read:
            try:
                if is_folder(path):
                    raise NoAudioError(path, "a folder of pictures has no sound")
                sound = read_sound(path)
            except MediaError as error:
                errors["audio"] = error
        return cls(path, pictures, sound, errors)

    @property
    def gaps(self) -> dict[str, Gap]:
        """What is not there, by modality."""
        return {
            name: Gap("no sound track" if isinstance(error, NoAudioError) else error.message, error=True)
            for name, error in self.errors.items()
        }

    @property
    def error(self) -> MediaError:
        """What to raise where nothing is there: of two errors, the one that says more than that a track is absent."""
        mild = (NoAudioError, NoVideoError)
        return min(self.errors.values(), key=lambda error: isinstance(error, mild))

    @cached_property
    def duration(self) -> float:
        """Seconds until the last picture goes or the sound ends."""
        pictures = 0.0 if self.pictures is None else self.pictures.end
        return max(pictures, 0.0 if self.sound is None else self.sound.start + self.sound.duration)

    @property
    def notes(self) -> tuple[str, ...]:
        """Problems met while reading."""
        pictures = () if self.pictures is None else self.pictures.notes
        return tuple(dict.fromkeys((*pictures, *(() if self.sound is None else self.sound.notes))))


def _predict(
    loaded: LoadedRun, footage: Footage, grid: Grid, on_event: Callable[[TimelineEvent], None] | None
) -> tuple[Floats, list[str], tuple[FaceFrame, ...]]:
    """Predict the windows in order, some at a time."""
    makers = _makers(loaded, footage, grid)
    values, missing = list[Floats](), list[str]()
    with keeping_models():
        for first in range(0, grid.count, WINDOWS_AT_ONCE):
            places = range(first, min(grid.count, first + WINDOWS_AT_ONCE))
            with TemporaryDirectory(prefix="eri-timeline-", ignore_cleanup_errors=True) as store:
                block, reasons = _predict_block(loaded, footage, makers, Path(store), grid, places)
            values.append(block)
            missing += reasons
            if on_event is not None:
                on_event(TimelineEvent(footage.path.name, places.stop, grid.count))
    faces = next((maker.faces for maker in makers.values() if isinstance(maker, RowStream)), ())
    return np.concatenate(values), missing, tuple(faces)


def _makers(loaded: LoadedRun, footage: Footage, grid: Grid) -> dict[str, RowStream | SoundWindows]:
    """Return what makes the features of windows, by the digest of their source."""
    makers: dict[str, RowStream | SoundWindows] = {}
    for digest, extractor in loaded.extractors.items():
        if extractor.modality == "visual" and footage.pictures is not None:
            first = not any(isinstance(maker, RowStream) for maker in makers.values())
            pictures = footage.pictures if first else FrameStream(footage.path)
            makers[digest] = RowStream(extractor, pictures, grid, faces=first)
        elif extractor.modality == "audio" and footage.sound is not None:
            makers[digest] = SoundWindows(extractor, footage.sound)
    return makers


def _predict_block(
    loaded: LoadedRun,
    footage: Footage,
    makers: dict[str, RowStream | SoundWindows],
    store: Path,
    grid: Grid,
    places: range,
) -> tuple[Floats, list[str]]:
    """Write the features of some windows and predict them; NaN and a reason where one has nothing."""
    identity = stamp_source(Origin(footage.path.name, footage.path))
    ids = [f"window-{place:08d}" for place in places]
    spans = [(place * grid.hop, place * grid.hop + grid.window) for place in places]
    gaps: list[dict[str, Gap]] = [dict(footage.gaps) for _ in ids]
    for digest, maker in makers.items():
        source = loaded.sources[digest]
        folder: FeatureFolder = FeatureStore(store).folder(loaded.extractors[digest].name, source.identity)
        folder.open_for_writing()
        for clip_id, lacks, features in zip(ids, gaps, maker.cut(spans), strict=True):
            entry = folder.write(clip_id, features, identity)
            gap = describe_states(entry.state_counts)
            if gap is not None:
                lacks[source.modality] = gap
    verdicts = [judge_all(loaded.members, lacks) for lacks in gaps]
    told = [
        "; ".join(dict.fromkeys(gap.words for gap in lacks.values())) if verdict.reason or verdict.empty else ""
        for verdict, lacks in zip(verdicts, gaps, strict=True)
    ]
    kept = [clip_id for clip_id, reason in zip(ids, told, strict=True) if not reason]
    clips = tuple(Clip(clip_id, loaded.split, video=footage.path) for clip_id in ids)
    table = ClipTable("windows", footage.path.parent, loaded.task, clips)
    predicted = loaded.predict_table(table, store, kept)
    return predicted.reindex(ids)[list(loaded.task.labels)].to_numpy(dtype=np.float64), told
