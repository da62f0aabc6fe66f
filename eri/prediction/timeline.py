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
    """A frame of a video with the face that a model was shown.

    Attributes:
        time: Seconds since the clip's start.
        picture: The upright frame, a JPEG file.
        width: Of the image in pixels.
        height: Of the image in pixels.
        box: x0, y0, x1, y1 in pixels of the image, which it may leave; None where no face was found.
    """

    time: float
    picture: bytes
    width: int
    height: int
    box: tuple[float, float, float, float] | None


@dataclass(frozen=True, eq=False, repr=False)
class Timeline(Shown):
    """What a run predicts for a window that slides over a video.

    Attributes:
        video: The file, or the folder of images.
        labels: Names of the labels or classes.
        low: Smallest value a label can have.
        high: Largest value a label can have.
        times: Middle of each window in seconds since the clip's start, ascending, float64 (windows,).
        values: float64 (windows, labels), in [low, high]; NaN in a window where the run had nothing to predict from.
        window: Seconds of a window.
        hop: Seconds between two windows.
        duration: Seconds of the video.
        missing: Why a window has no values, such as ``no face``; empty where it has; one per window.
        faces: A few frames, spread over the video; empty where the run reads no frames.
        notes: What a reader should know, such as a missing audio track.
    """

    video: Path
    labels: tuple[str, ...]
    low: float
    high: float
    times: Floats
    values: Floats
    window: float
    hop: float
    duration: float
    missing: tuple[str, ...]
    faces: tuple[FaceFrame, ...] = ()
    notes: tuple[str, ...] = ()

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
        frame = pd.DataFrame(
            {"start": self.times - half, "end": np.minimum(self.times + half, self.duration), "time": self.times}
        )
        for column, label in enumerate(self.labels):
            frame[label] = self.values[:, column]
        return frame.assign(missing=list(self.missing))

    def write_csv(self, path: Path) -> Path:
        """Write :meth:`to_frame` with four digits after the point for seconds, six for values.

        Raises:
            OSError: The file cannot be written.
        """
        frame = self.to_frame()
        seconds = ["start", "end", "time"]
        frame[seconds] = frame[seconds].round(4)
        with atomic_path(path) as temporary:
            frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
        return path


@dataclass(frozen=True)
class TimelineEvent:
    """Progress of a sliding window.

    Attributes:
        video: The video.
        done: Windows predicted so far.
        total: All windows.
    """

    video: str
    done: int
    total: int
