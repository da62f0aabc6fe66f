"""Probing every clip of a data set before any work is spent on it: ``eri probe``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eri.data.clips import Clip, ClipTable
from eri.media.container import MediaInfo, probe_media
from eri.storage.mirror import at_hand
from eri.utils.errors import MediaError, WorkerError
from eri.utils.tables import Shown, Summary
from eri.utils.workers import WorkerPool

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

COLUMNS: tuple[str, ...] = (
    *("split", "duration", "fps", "frame_rate_changes", "frames", "width", "height", "rotation", "mirrored", "video"),
    *("audio", "sample_rate", "audio_duration", "problem", "message", "notes"),
)
"""Columns of the table, after the clip's id."""

_TYPES = {
    **dict.fromkeys(("duration", "fps", "audio_duration"), "float64"),
    **dict.fromkeys(("frames", "width", "height", "rotation", "sample_rate"), "Int64"),
    **dict.fromkeys(("frame_rate_changes", "mirrored", "video", "audio"), "bool"),
}


@dataclass(frozen=True)
class ProbeSummary:
    """A data set in a few numbers.

    Attributes:
        clips: Clips in the table.
        hours: Of all clips together.
        problems: How many clips have each problem; without those that have none.
        without_video: Clips whose video cannot be read or that have none.
        without_audio: Clips whose audio cannot be read or that have none.
        rotated: Clips that are rotated or mirrored for display.
        frame_rate_changes: Clips whose frame rate changes.
        seconds: How long probing took.
    """

    clips: int
    hours: float
    problems: dict[str, int]
    without_video: int
    without_audio: int
    rotated: int
    frame_rate_changes: int
    seconds: float

    @property
    def seconds_per_thousand(self) -> float:
        """Seconds that probing a thousand clips takes."""
        return 1000 * self.seconds / self.clips if self.clips else 0.0


@dataclass(frozen=True, eq=False, repr=False)
class ProbeReport(Shown):
    """What probing found.

    Attributes:
        table: One row per clip, indexed by clip id, with the columns :data:`COLUMNS`. Durations are in seconds, ``fps``
            is the mean, sizes are as displayed. ``problem`` is empty for a clip that can be read; else it names the
            file and the reason, such as ``video: truncated``, and ``message`` says more.
        summary: The same in a few numbers.
    """

    table: pd.DataFrame
    summary: ProbeSummary

    def as_table(self) -> Summary:
        """Return the first clips."""
        columns = ["split", "duration", "fps", "width", "height", "audio", "problem"]
        rows = ((clip_id, *row) for clip_id, *row in self.table[columns].itertuples())
        one = self.summary
        title = f"{one.clips:,} clips, {one.hours:.2f} hours, {sum(one.problems.values())} with a problem"
        return Summary(title, ("clip", *columns), rows, len(self.table))


def probe(
    table: ClipTable, *, workers: int = 2, timeout: float = 60.0, on_clip: Callable[[int, int], None] | None = None
) -> ProbeReport:
    """Probe every clip: its files are demuxed, one frame is decoded.

    No file stops the others: one that is missing, damaged or not media, that takes more than ``timeout`` seconds or
    even brings its worker process down gets its reason in the table. Without ``workers`` this process probes, where
    ``timeout`` does not hold. ``on_clip`` is called after each clip with the number of clips done and of all.
    """
    import pandas as pd

    started = time.perf_counter()
    rows = []
    in_processes = workers > 0 and len(table) > 0
    for row in _in_processes(table.clips, workers, timeout) if in_processes else map(probe_clip, table.clips):
        rows.append(row)
        if on_clip is not None:
            on_clip(len(rows), len(table))
    frame = pd.DataFrame(rows, columns=list(COLUMNS), index=pd.Index([clip.id for clip in table], name="id", dtype=str))
    frame = frame.astype(_TYPES)
    problems = frame["problem"][frame["problem"] != ""].value_counts()
    summary = ProbeSummary(
        clips=len(frame),
        hours=float(frame["duration"].sum()) / 3600,
        problems={str(reason): int(count) for reason, count in problems.items()},
        without_video=int((~frame["video"]).sum()),
        without_audio=int((~frame["audio"]).sum()),
        rotated=int((frame["rotation"].ne(0) | frame["mirrored"]).sum()),
        frame_rate_changes=int(frame["frame_rate_changes"].sum()),
        seconds=time.perf_counter() - started,
    )
    return ProbeReport(frame, summary)


def probe_clip(clip: Clip) -> Row:
    """Return one clip's row of the table."""
    row, notes = _empty_row(clip), list[str]()
    if clip.video is not None and (info := _probe_file(row, "video", clip.video, notes)) is not None:
        row |= _video_columns(info) | (_audio_columns(info) if clip.audio is None else {})
    if clip.audio is not None and (info := _probe_file(row, "audio", clip.audio, notes)) is not None:
        row |= _audio_columns(info)
        if row["duration"] is None:
            row["duration"] = info.duration
    row["notes"] = "; ".join(notes)
    return row


def _empty_row(clip: Clip) -> Row:
    row = dict.fromkeys(COLUMNS) | dict.fromkeys(("video", "audio", "frame_rate_changes", "mirrored"), False)
    return row | {"split": clip.split, "rotation": 0, "problem": "", "message": "", "notes": ""}


def _probe_file(row: Row, role: str, path: Path, notes: list[str]) -> MediaInfo | None:
    try:
        with at_hand(path) as file:
            info = probe_media(file)
    except MediaError as error:
        _add_problem(row, f"{role}: {error.reason}", error.message)
        return None
    notes += info.notes
    if not (info.has_video if role == "video" else info.has_audio):
        _add_problem(row, f"{role}: no-{role}", f"{path}: holds no {role}")
    return info


def _add_problem(row: Row, problem: str, message: str) -> None:
    for column, text in (("problem", problem), ("message", message)):
        row[column] = f"{row[column]}; {text}" if row[column] else text


def _video_columns(info: MediaInfo) -> Row:
    return {
        "duration": info.duration,
        "fps": info.frame_rate,
        "frame_rate_changes": info.variable_frame_rate,
        "frames": info.frames,
        "width": info.width,
        "height": info.height,
        "rotation": info.rotation,
        "mirrored": info.mirrored,
        "video": info.has_video,
    }


def _audio_columns(info: MediaInfo) -> Row:
    return {"audio": info.has_audio, "sample_rate": info.sample_rate, "audio_duration": info.audio_duration}


def _in_processes(clips: Sequence[Clip], workers: int, timeout: float) -> Iterator[Row]:
    with WorkerPool(probe_clip, min(workers, len(clips)), timeout=timeout, task="probing it", threads=1) as pool:
        futures = [pool.submit(clip, clip.id) for clip in clips]
        for clip, future in zip(clips, futures, strict=True):
            try:
                yield future.result()
            except WorkerError as error:
                row = _empty_row(clip)
                _add_problem(row, error.reason, error.message)
                yield row
