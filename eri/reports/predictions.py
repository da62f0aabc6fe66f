"""The files of a prediction: the table of all videos, and the course of each over time as table, image and page."""

from __future__ import annotations

import math
import warnings
from collections import Counter
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
from eri.prediction import FaceFrame, Timeline
from eri.prediction.loading import LoadedRun, TimelineWorker, clip_id_of, load
from eri.reports.figures import new_figure, save_figure
from eri.reports.page import Table, Value, data_url, shorten, write_page
from eri.utils.errors import DataError, MediaError, StoreError, WorkerError
from eri.utils.files import atomic_path
from eri.utils.tables import Shown, Summary

_LINE = "#0072b2"  # the blue of Okabe and Ito's palette; one colour, since each label has a panel of its own
_GAP = "#e4e4e4"
_INK = "#222222"
_LEAST_SPAN = 0.05
_TITLE_CHARACTERS = 70

_EMBEDDED_BYTES = (
    24_000_000  # larger videos are named on the page, not embedded in it: browsers take no larger page well
)
_KINDS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".ogv": "video/ogg"}
_MOST_ROWS = 2000
_MOST_POINTS = 4000
_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)


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
        files = {"predictions": self.path, "videos": rows, "timelines": self.timelines}
        return {**files, "problems": self.problems, "exit_code": self.exit_code}


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
    """Predict videos (files, folders and patterns) and write ``predictions.csv`` into the folder ``output``.

    With ``timeline``, ``timelines/<video>.csv``, ``.png`` and ``.html`` have each video's course over time, by windows
    of ``window`` seconds every ``hop`` seconds. A video that cannot be decoded, crashes its worker or takes longer than
    the timeout is named; the others go on. Raises EriError where the run cannot be used or nothing can be predicted.
    """
    loaded = load(run, runtime)
    table = loaded.predict(videos, features=features, on_event=on_event)
    path = _write_table(table, loaded.task, output / "predictions.csv")
    timelines, problems = dict[str, tuple[Path, ...]](), dict[str, str]()
    wanted = [Path(file) for file in table.index[table["reason"] == ""]] if timeline else []
    with _timelines(loaded, window, hop) as make:
        for file in wanted:
            try:
                course = make(file, on_event=on_event)
            except (MediaError, DataError, WorkerError) as error:
                problems[str(file)] = str(error.message)
                continue
            timelines[str(file)] = _write_timeline(course, output / "timelines" / clip_id_of(file))
    return PredictionReport(path, loaded.task, table, timelines, problems)


@contextmanager
def _timelines(loaded: LoadedRun, window: float, hop: float) -> Iterator[Callable[..., Timeline]]:
    """Give what makes the timeline of a video: a worker process, or this one where the runtime asks for no workers."""
    if not loaded.runtime.workers:
        yield partial(loaded.timeline, window=window, hop=hop)
        return
    with TimelineWorker(loaded.path, loaded.runtime, window=window, hop=hop) as worker:
        yield worker.make


def _write_table(table: pd.DataFrame, task: Task, path: Path) -> Path:
    """Write predictions as CSV with six significant digits; a name that is no text is written with ``?`` in it."""
    frame = table.rename(index=_writable)
    frame.index.name = table.index.name
    frame["reason"] = [_writable(" ".join(reason.split())) for reason in frame["reason"]]
    if task.is_classification:
        values = table[list(task.labels)]
        frame.insert(0, "class", ["" if row.isna().any() else str(row.idxmax()) for _, row in values.iterrows()])
    try:
        with atomic_path(path) as temporary:
            frame.to_csv(temporary, float_format="%.6g", lineterminator="\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror})", hint="Name another --output.") from error
    return path


def _write_timeline(timeline: Timeline, stem: Path) -> tuple[Path, ...]:
    """Write a timeline's table, image and page beside each other; the stem is their path without an ending."""
    table, image, page = (stem.with_name(f"{stem.name}.{kind}") for kind in ("csv", "png", "html"))
    try:
        timeline.write_csv(table)
        draw_timeline(timeline, image)
        return table, image, write_timeline_page(timeline, page)
    except OSError as error:
        raise StoreError(f"{stem}: cannot be written ({error.strerror})", hint="Name another --output.") from error


def _writable(text: str) -> str:
    """Return a name with what is no UTF-8 replaced."""
    return text.encode("utf-8", "replace").decode()


def draw_timeline(timeline: Timeline, path: Path) -> Path:
    """Draw a timeline of a window or more; all panels have one scale, and windows without a prediction are grey."""
    labels = timeline.labels
    figure = new_figure(8.0, 0.9 + 0.75 * len(labels))
    panels = np.atleast_1d(figure.subplots(len(labels), 1, sharex=True, sharey=True))
    limits = _scale(timeline)
    gaps = timeline.times[[bool(reason) for reason in timeline.missing]]
    for column, (panel, label) in enumerate(zip(panels, labels, strict=True)):
        for middle in gaps:
            panel.axvspan(middle - timeline.hop / 2, middle + timeline.hop / 2, color=_GAP, linewidth=0)
        marker = "o" if len(timeline.times) < 3 else None
        panel.plot(timeline.times, timeline.values[:, column], color=_LINE, linewidth=1.5, marker=marker)
        panel.set_ylim(*limits)
        panel.set_ylabel(label, rotation=0, ha="right", va="center", color=_INK, parse_math=False)
        panel.grid(axis="y", color="#dddddd", linewidth=0.6)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(length=0, labelsize=8, colors=_INK)
        panel.locator_params(axis="y", nbins=3)
    panels[-1].set_xlim(0.0, max(timeline.duration, 1e-3))
    panels[-1].set_xlabel(f"seconds (middle of a window of {timeline.window:g} s)", color=_INK)
    title = shorten(_writable(timeline.video.name), _TITLE_CHARACTERS)
    if reasons := sorted({reason for reason in timeline.missing if reason}):
        title += f" (grey: {', '.join(reasons)[:_TITLE_CHARACTERS]})"
    figure.suptitle(title, fontsize=10, color=_INK, parse_math=False)
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


def write_timeline_page(timeline: Timeline, path: Path, *, embed: int = _EMBEDDED_BYTES) -> Path:
    """Write a timeline as one self-contained HTML page: the video beside each label, and a cursor that follows it.

    A video of up to ``embed`` bytes is embedded. A larger one, and one of a kind that browsers do not play, is not: the
    cursor is then moved by hand, and the page says so.
    """
    video, note = _video(timeline.video, embed)
    times = timeline.times.tolist()
    span = max(timeline.duration, times[-1] if times else 0.0, 1e-3)
    reasons = Counter(filter(None, timeline.missing))
    gaps = [f"{count} of {len(times)} windows have no values: {reason}." for reason, count in reasons.items()]
    values = [[round(value, 4) if math.isfinite(value) else None for value in row] for row in timeline.values.tolist()]
    low, high = (f"{value:.6g}".replace("-", "−") for value in (timeline.low, timeline.high))
    content: dict[str, Any] = {
        "subtitle": f"window {timeline.window:g} s, every {timeline.hop:g} s; {timeline.duration:.1f} s in all",
        "notes": [*timeline.notes, *gaps, *filter(None, [note])],
        "video": video,
        "span": span,
        "rows": [_row(timeline, column, span) for column in range(len(timeline.labels))],
        "ticks": [(tick / span, _clock(tick)) for tick in _ticks(span)],
        "low": low,
        "high": high,
        "faces": [_face(face) for face in timeline.faces],
        "data": {"span": span, "times": [round(time, 4) for time in times], "values": values},
        "table": _table(timeline),
    }
    hint = "Choose another folder for the timeline."
    return write_page(path, "timeline.html", timeline.video.name, content, scripts=("timeline.js",), hint=hint)


def _video(path: Path, embed: int) -> tuple[str | None, str]:
    """Return the video as a data URL, or None and why."""
    kind, by_hand = _KINDS.get(path.suffix.lower()), "move the cursor by hand"
    if path.is_dir():
        return None, f"Images in a folder cannot be played; {by_hand}."
    if kind is None:
        return None, f"Browsers do not play files like {path.name}; {by_hand}."
    try:
        size = path.stat().st_size
        if size > embed:
            return None, f"The video has {size / 1e6:.0f} MB and is not embedded in this page; {by_hand}."
        return data_url(path.read_bytes(), kind), ""
    except OSError as error:
        return None, f"The video cannot be read ({error.strerror}); {by_hand}."


def _row(timeline: Timeline, column: int, span: float) -> dict[str, Any]:
    """Return the curve of a label in an image of 1000 by 100, broken where a window has no values."""
    step = max(1, math.ceil(len(timeline.times) / _MOST_POINTS))
    values, span_of_values = timeline.values[:, column], (timeline.high - timeline.low) or 1.0
    pieces: list[list[str]] = [[]]
    for time, value in zip(timeline.times[::step], values[::step], strict=True):
        if math.isfinite(value):
            share = min(max((value - timeline.low) / span_of_values, 0.0), 1.0)
            pieces[-1].append(f"{1000 * time / span:.1f},{96 - 92 * share:.1f}")
        elif pieces[-1]:
            pieces.append([])
    known = values[np.isfinite(values)]
    summary = f"mean {known.mean():.2f}, from {known.min():.2f} to {known.max():.2f}" if len(known) else "no values"
    lines = [" ".join(piece if len(piece) > 1 else piece * 2) for piece in pieces if piece]
    return {"label": timeline.labels[column], "lines": lines, "summary": summary}


def _face(face: FaceFrame) -> dict[str, Any]:
    box = None
    if face.box is not None:
        left, top, right, bottom = face.box
        box = {"left": 100 * left / face.width, "top": 100 * top / face.height}
        box |= {"width": 100 * (right - left) / face.width, "height": 100 * (bottom - top) / face.height}
    image = data_url(face.image, "image/jpeg")
    shown = {"time": face.time, "clock": _clock(face.time), "image": image, "box": box}
    return {**shown, "width": face.width, "height": face.height}


def _table(timeline: Timeline) -> Table:
    step = max(1, math.ceil(len(timeline.times) / _MOST_ROWS))
    rows: list[list[Value]] = [
        [float(timeline.times[place]), *timeline.values[place].tolist(), timeline.missing[place]]
        for place in range(0, len(timeline.times), step)
    ]
    caption = "Every window, by the second in its middle"
    if step > 1:
        caption = f"Every {step}th window, by the second in its middle; the CSV beside this page holds all"
    return Table(caption, ["seconds", *timeline.labels, "missing"], rows)


def _ticks(span: float, most: int = 6) -> list[float]:
    """Return round seconds for the axis of a timeline.

    >>> _ticks(10.0), _ticks(3600.0)[:3]
    ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [0.0, 600.0, 1200.0])
    """
    step = next((step for step in _STEPS if span / step <= most), _STEPS[-1] * math.ceil(span / _STEPS[-1] / most))
    return [place * step for place in range(math.floor(span / step + 1e-9) + 1)]


def _clock(seconds: float) -> str:
    """Return seconds as a player shows them.

    >>> _clock(2.5), _clock(65.0), _clock(3725.0)
    ('0:02.5', '1:05', '1:02:05')
    """
    whole, rest = divmod(round(seconds, 1), 1)
    hours, minutes, left = int(whole) // 3600, int(whole) // 60 % 60, int(whole) % 60
    tenths = f".{round(rest * 10)}" if round(rest * 10) else ""
    return f"{hours}:{minutes:02d}:{left:02d}{tenths}" if hours else f"{minutes}:{left:02d}{tenths}"
