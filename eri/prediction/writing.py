"""The files of a prediction: the table of all videos, and the course of each over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from eri.config import Runtime
from eri.errors import DataError, MediaError, StoreError, WorkerError
from eri.files import atomic_path
from eri.prediction.figures import draw_timeline
from eri.prediction.isolation import TimelineWorker
from eri.prediction.loading import LoadedRun, clip_id_of, load
from eri.prediction.timeline import Timeline
from eri.tasks import Task

TABLE = "predictions.csv"


@dataclass(frozen=True, eq=False)
class PredictionReport:
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
        """Return what :func:`~eri.progress_modes.json_result` takes: a value or a reason for every video."""
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
    """Write a timeline's table, picture and page beside each other.

    Args:
        timeline: The timeline.
        stem: Their path without an ending.

    Raises:
        StoreError: A file cannot be written.
        RunError: The page cannot be written.
    """
    from eri.pages.timeline import write_timeline_page  # stands after this package and is known by this name only

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
