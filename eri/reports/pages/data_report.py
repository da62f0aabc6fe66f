"""``eri report --data DIR``: one page on a data set before any training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from eri.data import load_clips
from eri.data.clips import SPLITS, ClipTable
from eri.data.probe import ProbeReport, probe
from eri.reports.html.blocks import Block, Headline, Paragraphs, Section, Value, make_table, number
from eri.reports.html.document import write_report_page
from eri.reports.pages.label_sections import make_label_correlations, make_labels, make_shifts
from eri.reports.pages.media_sections import make_media, make_missing, make_people
from eri.utils.errors import DataError, RunError

NAME = "data-report.html"


def report_data(
    data: str | Path,
    *,
    output: str | Path = NAME,
    adapter: str | None = None,
    workers: int = 2,
    on_clip: Callable[[int, int], None] | None = None,
) -> Path:
    """Write one self-contained HTML page on a data set.

    Every clip's files are opened and one picture of each is decoded; see :func:`eri.data.probe.probe`.

    Args:
        data: Challenge folder or manifest YAML.
        output: The page.
        adapter: Reader of ``data``; None finds out.
        workers: Processes that look at clips.
        on_clip: Called after each clip with the number of clips done and of all.

    Raises:
        DataError: The data cannot be read, hold no clip, or none of their files is there.
        RunError: The page cannot be written.
    """
    table = load_clips(Path(data), adapter)
    if not len(table):
        raise DataError(f"{data}: holds no clip", hint="Name a data set with clips.")
    found = probe(table, workers=workers, on_clip=on_clip)
    if not (found.table["video"] | found.table["audio"]).any():
        first = found.table["message"].iloc[0] or "its clips name neither video nor audio"
        raise DataError(
            f"{data}: none of the {len(table)} clips has media that can be read, the first: {first}",
            hint="Are the media where the table says? `eri probe` lists every clip.",
        )
    subtitle = f"{table.root}, task {table.task.name}, fingerprint {table.fingerprint[:12]}"
    target = Path(output)
    try:
        return write_report_page(
            target, f"Data set {table.name}", subtitle, _headlines(table, found), _sections(table, found)
        )
    except OSError as error:
        raise RunError(
            f"{target}: cannot be written ({error.strerror or error})", hint="Choose another file: -o PAGE.html"
        ) from error


def _headlines(table: ClipTable, found: ProbeReport) -> list[Headline]:
    summary = found.summary
    labelled = sum(clip.labels is not None for clip in table)
    return [
        Headline("Clips", f"{len(table)}", f"{labelled} with labels"),
        Headline(
            "Length", f"{summary.hours:.2f} h", f"median {number(float(found.table['duration'].median()), 1)} s a clip"
        ),
        Headline("With a problem", f"{sum(summary.problems.values())}", "clips"),
        Headline("Without pictures", f"{summary.without_video}", "clips"),
        Headline("Without sound", f"{summary.without_audio}", "clips"),
        Headline("Changing frame rate", f"{summary.frame_rate_changes}", "clips"),
    ]


def _sections(table: ClipTable, found: ProbeReport) -> list[Section]:
    parts: list[tuple[str, list[Block]]] = [
        ("Splits", [_splits(table, found)]),
        ("Media", make_media(found.table)),
        ("Missing and odd", make_missing(found)),
    ]
    if any(clip.labels is not None for clip in table):
        parts += [("Labels", make_labels(table))]
        if not table.task.is_classification and len(table.task.labels) > 1:
            parts.append(("Correlations of labels", make_label_correlations(table)))
    else:
        parts.append(("Labels", [Paragraphs(("No clip has labels.",))]))
    parts.append(("Shifts between splits", make_shifts(table, found.table)))
    people = make_people(table)
    if people:
        parts.append(("People", people))
    return [Section(title, tuple(blocks)) for title, blocks in parts]


def _splits(table: ClipTable, found: ProbeReport) -> Block:
    rows: list[list[Value]] = []
    for split in SPLITS:
        clips = table.split(split)
        if clips:
            durations = found.table["duration"][found.table["split"] == split]
            groups = {clip.group for clip in clips if clip.group is not None}
            labelled = sum(clip.labels is not None for clip in clips)
            rows.append(
                [
                    split,
                    len(clips),
                    labelled,
                    len(groups) or None,
                    float(durations.sum()) / 3600,
                    float(durations.median()),
                ]
            )
    columns = ["split", "clips", "with labels", "subjects", "hours", "median seconds"]
    return make_table("Clips by split", columns, rows)
