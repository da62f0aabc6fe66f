"""The files of a prediction: the table of all videos, and the course of each over time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eri.config import Runtime
from eri.config.tasks import Task
from eri.prediction.loading import LoadedRun, TimelineWorker, clip_id_of, load
from eri.prediction.timeline import Timeline
from eri.reports.figures import new_figure, save_figure
from eri.reports.timeline_page import write_timeline_page
from eri.utils.errors import DataError, MediaError, StoreError, WorkerError
from eri.utils.files import atomic_path
from eri.utils.tables import Shown, Summary

_LINE = "#0072b2"  # the blue of Okabe and Ito's palette; one colour, since each label has a panel of its own
_GAP = "#e4e4e4"
_INK = "#222222"
_LEAST_SPAN = 0.05
_TITLE_CHARACTERS = 70


def draw_timeline(timeline: Timeline, path: Path) -> Path:
    """Draw a timeline; all panels have one scale, and windows without a prediction are grey.

    Args:
        timeline: At least one window.
        path: Ends in .png, .svg or .pdf.

    Raises:
        ConfigError: The image's name ends otherwise.
    """
    labels = timeline.labels
    figure = new_figure(8.0, 0.9 + 0.75 * len(labels))
    panels = np.atleast_1d(figure.subplots(len(labels), 1, sharex=True, sharey=True))
    low, high = _scale(timeline)
    for column, (panel, label) in enumerate(zip(panels, labels, strict=True)):
        for start, end in _gaps(timeline):
            panel.axvspan(start, end, color=_GAP, linewidth=0)
        marker = "o" if len(timeline.times) < 3 else None
        panel.plot(timeline.times, timeline.values[:, column], color=_LINE, linewidth=1.5, marker=marker)
        panel.set_ylim(low, high)
        panel.set_ylabel(label, rotation=0, ha="right", va="center", color=_INK, parse_math=False)
        panel.grid(axis="y", color="#dddddd", linewidth=0.6)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(length=0, labelsize=8, colors=_INK)
        panel.locator_params(axis="y", nbins=3)
    panels[-1].set_xlim(0.0, max(timeline.duration, 1e-3))
    panels[-1].set_xlabel(f"seconds (middle of a window of {timeline.window:g} s)", color=_INK)
    figure.suptitle(_title(timeline), fontsize=10, color=_INK, parse_math=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name may hold signs that the font lacks
        return save_figure(figure, path)


def _scale(timeline: Timeline) -> tuple[float, float]:
    """Return limits that hold all values, inside the task's range and not narrower than a twentieth of it."""
    finite = timeline.values[np.isfinite(timeline.values)]
    if not len(finite):
        return timeline.low, timeline.high
    span = timeline.high - timeline.low
    room = max(0.05 * float(np.ptp(finite)), 0.5 * max(0.0, _LEAST_SPAN * span - float(np.ptp(finite))))
    return max(timeline.low, float(finite.min()) - room), min(timeline.high, float(finite.max()) + room)


def _gaps(timeline: Timeline) -> Iterator[tuple[float, float]]:
    """Yield begin and end of the stretches without a prediction, half a hop around each window's middle."""
    for time in timeline.times[[bool(reason) for reason in timeline.missing]]:
        yield time - timeline.hop / 2, time + timeline.hop / 2


def _title(timeline: Timeline) -> str:
    name = timeline.video.name.encode("utf-8", "replace").decode()
    name = name if len(name) <= _TITLE_CHARACTERS else f"{name[: _TITLE_CHARACTERS - 1]}…"
    reasons = sorted({reason for reason in timeline.missing if reason})
    return f"{name} (grey: {', '.join(reasons)[:_TITLE_CHARACTERS]})" if reasons else name


TABLE = "predictions.csv"


@dataclass(frozen=True, eq=False, repr=False)
class PredictionReport(Shown):
    """What came of predicting videos.

    Attributes:
        path: ``predictions.csv``.
        task: What was predicted.
        table: As :meth:`~eri.prediction.loading.LoadedRun.predict` returns it.
        timelines: The files of each video's course over time, by the video.
        problems: Why a video has none, by the video.
    """

    path: Path
    task: Task
    table: pd.DataFrame
    timelines: dict[str, tuple[Path, ...]]
    problems: dict[str, str]

    def as_table(self) -> Summary:
        """Return the predictions of the first videos."""
        labels = list(self.task.labels)
        rows = (
            (Path(str(file)).name, *(row[label] for label in labels), row["reason"] or row["rule"])
            for file, row in self.table.iterrows()
        )
        title = f"{self.path}: {len(self.table) - self.failed} of {len(self.table)} predicted"
        return Summary(title, ("file", *labels, "remarks"), rows, len(self.table))

    @property
    def failed(self) -> int:
        """Videos without a prediction."""
        return int((self.table["reason"] != "").sum())

    @property
    def exit_code(self) -> int:
        """0 when every video is predicted and has its timeline, 3 when some are, 1 when none is."""
        if not self.failed and not self.problems:
            return 0
        return 3 if self.failed < len(self.table) else 1

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints: a value or a reason for every video."""
        rows = [{"file": str(file), **values} for file, values in self.table.to_dict(orient="index").items()]
        return {
            "predictions": self.path,
            "videos": rows,
            "timelines": self.timelines,
            "problems": self.problems,
            "exit_code": self.exit_code,
        }


def predict_videos(
    run: Path,
    videos: Sequence[str | Path],
    output: Path,
    *,
    timeline: bool = False,
    window: float = 4.0,
    hop: float = 1.0,
    features: Path | None = None,
    runtime: Runtime = Runtime(),
    on_event: Callable[[Any], None] | None = None,
) -> PredictionReport:
    """Predict videos and write ``predictions.csv``; with ``timeline`` also each video's course over time.

    A video that cannot be decoded, crashes its worker or takes longer than the timeout is named; the others go on.

    Args:
        run: Folder of a run, a cross-validation or an ensemble.
        videos: Files, folders and patterns.
        output: Folder to write into; files of an earlier prediction are replaced.
        timeline: Write ``timelines/<video>.csv``, ``.png`` and ``.html`` too.
        window: Seconds of a window.
        hop: Seconds between two windows.
        features: Keep features in this cache.
        runtime: Device, batch size, workers and timeout.
        on_event: Called with each progress event.

    Raises:
        EriError: The run cannot be used, or nothing that could be predicted is named.
    """
    loaded = load(run, runtime)
    table = loaded.predict(videos, features=features, on_event=on_event)
    path = write_table(table, loaded.task, output / TABLE)
    timelines, problems = dict[str, tuple[Path, ...]](), dict[str, str]()
    wanted = [Path(file) for file in table.index[table["reason"] == ""]] if timeline else []
    with _timelines(loaded, window, hop) as make:
        for file in wanted:
            try:
                course = make(file, on_event=on_event)
            except (MediaError, DataError, WorkerError) as error:
                problems[str(file)] = str(error.message)
                continue
            timelines[str(file)] = write_timeline(course, output / "timelines" / clip_id_of(file))
    return PredictionReport(path, loaded.task, table, timelines, problems)


@contextmanager
def _timelines(loaded: LoadedRun, window: float, hop: float) -> Iterator[Callable[..., Timeline]]:
    """Give what makes the timeline of a video: a worker process, or this one where the runtime asks for no workers."""
    if not loaded.runtime.workers:
        yield partial(loaded.timeline, window=window, hop=hop)
        return
    with TimelineWorker(loaded.path, loaded.runtime, window=window, hop=hop) as worker:
        yield worker.make


def write_table(table: pd.DataFrame, task: Task, path: Path) -> Path:
    """Write predictions as CSV with six significant digits; a name that is no text is written with ``?`` in it.

    Raises:
        StoreError: The file cannot be written.
    """
    frame = table.rename(index=_writable)
    frame.index.name = table.index.name
    frame["reason"] = frame["reason"].map(_one_line)
    if task.is_classification:
        frame.insert(0, "class", table[list(task.labels)].apply(_strongest, axis=1))
    try:
        with atomic_path(path) as temporary:
            frame.to_csv(temporary, float_format="%.6g", lineterminator="\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror})", hint="Name another --output.") from error
    return path


def write_timeline(timeline: Timeline, stem: Path) -> tuple[Path, ...]:
    """Write a timeline's table, image and page beside each other.

    Args:
        timeline: The timeline.
        stem: Their path without an ending.

    Raises:
        StoreError: A file cannot be written.
        RunError: The page cannot be written.
    """
    try:
        table = timeline.write_csv(stem.with_name(f"{stem.name}.csv"))
        picture = draw_timeline(timeline, stem.with_name(f"{stem.name}.png"))
        return table, picture, write_timeline_page(timeline, stem.with_name(f"{stem.name}.html"))
    except OSError as error:
        raise StoreError(f"{stem}: cannot be written ({error.strerror})", hint="Name another --output.") from error


def _strongest(row: pd.Series[float]) -> str:
    return "" if row.isna().any() else str(row.idxmax())


def _one_line(text: str) -> str:
    return _writable(" ".join(text.split()))


def _writable(text: str) -> str:
    """Return a name with what is no UTF-8 replaced."""
    return text.encode("utf-8", "replace").decode()
