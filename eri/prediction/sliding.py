"""A window that slides over a video, each predicted as a clip of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from eri.media.audio import Audio, read_audio
from eri.media.opening import is_folder
from eri.media.state import State
from eri.media.video import FrameStream
from eri.metrics.intensities import Floats
from eri.prediction.availability import Missing, check_availability, describe_states
from eri.prediction.extractors import RecordedExtractor
from eri.prediction.timeline import Timeline, TimelineEvent
from eri.prediction.windows import AudioWindows, Features, FrameWindows, Grid
from eri.runs.opening import OpenedRun
from eri.utils.errors import ConfigError, DataError, MediaError, NoAudioError, NoVideoError


def slide(
    run: OpenedRun,
    extractors: Mapping[str, RecordedExtractor],
    video: Path,
    *,
    window: float = 4.0,
    hop: float = 1.0,
    on_event: Callable[[TimelineEvent], None] | None = None,
    windows_at_once: int = 64,
) -> Timeline:
    """Predict a window that slides over a video.

    Each window is predicted as a clip of its own: as many frames as the run reads of a clip, spread over the window or
    its last ones, as the run has it, and the window's audio. The subject is looked for in 32 frames at a time, which
    windows share. Memory does not grow with the video's length.

    Args:
        run: The run.
        extractors: What computes its features, by the digest of each source.
        video: Any video or audio file, or a folder of numbered images.
        window: Seconds of a window.
        hop: Seconds between two windows.
        on_event: Called after every few windows.
        windows_at_once: Windows whose features are in memory and predicted together.

    Raises:
        ConfigError: A window or hop that is not a positive number.
        MediaError: The file is missing, damaged or not media, or lacks what the run reads.
        DataError: It lacks a modality that the run was not trained to do without.
    """
    for name, value in (("window", window), ("hop", hop)):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"--{name} is {value}; it must be a positive number of seconds")
    source = VideoInput.open(run, video)
    available = check_availability(run.members, source.missing)
    if available.reason and available.empty:
        raise source.error
    if available.reason:
        raise DataError(f"{video}: {available.reason}", hint="Predict it with a run of what it has.")
    grid = Grid.over(source.duration, window, hop)
    windows = _open_windows(extractors, source, grid)
    values, missing = list[Floats](), list[str]()
    for first in range(0, grid.count, windows_at_once):
        places = range(first, min(grid.count, first + windows_at_once))
        block, reasons = _predict(run, source.missing, windows, grid, places)
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


@dataclass(eq=False)
class VideoInput:
    """A video opened for what a run reads of it.

    Attributes:
        path: The video.
        frames: Its frames; None where there are none or none are read.
        audio: Its audio; None where there is none or none is read.
        errors: Why a modality is not there, by its name.
    """

    path: Path
    frames: FrameStream | None
    audio: Audio | None
    errors: dict[str, MediaError]

    @classmethod
    def open(cls, run: OpenedRun, path: Path) -> VideoInput:
        """Open a video."""
        read = {source.modality for source in run.sources.values()}
        frames, audio, errors = None, None, dict[str, MediaError]()
        if "visual" in read:
            try:
                frames = FrameStream(path)
            except MediaError as error:
                errors["visual"] = error
        if "audio" in read:
            try:
                if is_folder(path):
                    raise NoAudioError(path, "a folder of images has no audio")
                audio = read_audio(path)
            except MediaError as error:
                errors["audio"] = error
        return cls(path, frames, audio, errors)

    @property
    def missing(self) -> dict[str, Missing]:
        """What is not there, by modality."""
        return {
            name: Missing("no audio track" if isinstance(error, NoAudioError) else error.message, error=True)
            for name, error in self.errors.items()
        }

    @property
    def error(self) -> MediaError:
        """What to raise where nothing is there: of two errors, the one that says more than that a track is absent."""
        mild = (NoAudioError, NoVideoError)
        return min(self.errors.values(), key=lambda error: isinstance(error, mild))

    @cached_property
    def duration(self) -> float:
        """Seconds until the last frame goes or the audio ends."""
        frames = 0.0 if self.frames is None else self.frames.end
        return max(frames, 0.0 if self.audio is None else self.audio.start + self.audio.duration)

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings met while reading."""
        frames = () if self.frames is None else self.frames.notes
        return tuple(dict.fromkeys((*frames, *(() if self.audio is None else self.audio.notes))))


def _open_windows(
    extractors: Mapping[str, RecordedExtractor], source: VideoInput, grid: Grid
) -> dict[str, FrameWindows | AudioWindows]:
    """Return what makes the features of windows, by the digest of their source; the first of frames keeps faces."""
    windows: dict[str, FrameWindows | AudioWindows] = {}
    for digest, extractor in extractors.items():
        if extractor.modality == "visual" and source.frames is not None:
            first = not any(isinstance(one, FrameWindows) for one in windows.values())
            frames = source.frames if first else FrameStream(source.path)
            windows[digest] = FrameWindows(extractor, frames, grid, faces=first)
        elif extractor.modality == "audio" and source.audio is not None:
            windows[digest] = AudioWindows(extractor, source.audio)
    return windows


def _predict(
    run: OpenedRun,
    missing: Mapping[str, Missing],
    windows: Mapping[str, FrameWindows | AudioWindows],
    grid: Grid,
    places: range,
) -> tuple[Floats, list[str]]:
    """Make the features of some windows and predict them; NaN and a reason where one has nothing."""
    ids = [f"window-{place:08d}" for place in places]
    spans = [(place * grid.hop, place * grid.hop + grid.window) for place in places]
    lacking = [dict(missing) for _ in ids]
    features: dict[str, dict[str, Features]] = {digest: {} for digest in run.sources}
    for digest, source in windows.items():
        for clip_id, lacks, sequence in zip(ids, lacking, source.cut(spans), strict=True):
            features[digest][clip_id] = sequence
            lack = describe_states(np.bincount(sequence.states, minlength=len(State)).tolist())
            if lack is not None:
                lacks[run.sources[digest].modality] = lack
    reasons = []
    for lacks in lacking:
        available = check_availability(run.members, lacks)
        words = "; ".join(dict.fromkeys(lack.words for lack in lacks.values()))
        reasons.append(words if available.reason or available.empty else "")
    kept = [clip_id for clip_id, reason in zip(ids, reasons, strict=True) if not reason]
    predicted = run.predict(features, kept)
    return predicted.reindex(ids)[list(run.task.labels)].to_numpy(dtype=np.float64), reasons
