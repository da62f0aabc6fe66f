"""Intensities over time: the plain data of a sliding window over one video, and its table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from eri.metrics.intensities import Floats
from eri.utils.files import atomic_path
from eri.utils.tables import Shown, Summary


@dataclass(frozen=True, eq=False)
class FaceFrame:
    """A frame of a video with the face that a model was shown; all lengths are pixels of the image."""

    time: float  # seconds since the clip's start
    image: bytes  # the upright frame, a JPEG file
    width: int
    height: int
    box: tuple[float, float, float, float] | None  # x0, y0, x1, y1, maybe outside; None where no face was found


@dataclass(frozen=True, eq=False, repr=False)
class Timeline(Shown):
    """What a run predicts for a window that slides over a video; window, hop and duration are in seconds."""

    video: Path  # the file, or the folder of images
    labels: tuple[str, ...]  # names of the labels or classes
    low: float  # smallest value a label can have
    high: float
    times: Floats  # middle of each window in seconds since the clip's start, ascending, float64 (windows,)
    values: Floats  # float64 (windows, labels), in [low, high]; NaN where the run had nothing to predict from
    window: float
    hop: float
    duration: float
    missing: tuple[str, ...]  # why a window has no values, such as ``no face``; empty where it has; one per window
    faces: tuple[FaceFrame, ...] = ()  # a few frames, spread over the video; empty where the run reads no frames
    notes: tuple[str, ...] = ()  # what a reader should know, such as a missing audio track

    def as_table(self) -> Summary:
        """Return the first windows."""
        rows = (
            (time, *values, missing)
            for time, values, missing in zip(self.times.tolist(), self.values.tolist(), self.missing, strict=True)
        )
        title = f"{self.video.name}: {len(self.times):,} windows of {self.window:g} s in {self.duration:.1f} s"
        return Summary(title, ("seconds", *self.labels, "missing"), rows, len(self.times), self.notes)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per window: ``start``, ``end``, ``time`` in seconds, a column per label, and ``missing``."""
        half = self.window / 2
        spans = {"start": self.times - half, "end": np.minimum(self.times + half, self.duration), "time": self.times}
        values = dict(zip(self.labels, self.values.T, strict=True))
        return pd.DataFrame({**spans, **values, "missing": list(self.missing)})

    def write_csv(self, path: Path) -> Path:
        """Write :meth:`to_frame` with four digits after the point for seconds, six for values."""
        frame = self.to_frame().round(dict.fromkeys(("start", "end", "time"), 4))
        with atomic_path(path) as temporary:
            frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
        return path


@dataclass(frozen=True)
class TimelineEvent:
    """Progress of a sliding window: of all windows, how many are predicted so far."""

    video: str
    done: int
    total: int
