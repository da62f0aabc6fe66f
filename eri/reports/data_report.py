"""``eri report --data DIR``: one page on a data set before any training: media, labels, shifts, people."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from eri.data import load_clips
from eri.data.adapters.hume_reaction import read_attributes
from eri.data.clips import SPLITS, ClipTable
from eri.data.probe import ProbeReport, probe
from eri.evaluation.comparison import holm
from eri.metrics.intensities import Floats
from eri.reports.charts import Bar, Row, draw_histogram, draw_intervals
from eri.reports.error_sections import correlation_figure
from eri.reports.page import (
    Block,
    Chart,
    Figure,
    Headline,
    Paragraphs,
    Section,
    Table,
    Value,
    number,
    shorten,
    write_page,
)
from eri.utils.errors import DataError

NAME = "data-report.html"
_BINS = 24
_MOST_ROWS = 500
_MOST_BARS = 12
_FEWEST = 5  # clips of a split below which no shift is tested
_OUTLINES = "Share of each split's clips: the first split as bars, others as outlines."


def report_data(
    data: str | Path,
    *,
    output: str | Path = NAME,
    adapter: str | None = None,
    workers: int = 2,
    on_clip: Callable[[int, int], None] | None = None,
) -> Path:
    """Write one self-contained HTML page on a data set.

    Every clip's files are opened and one frame of each is decoded; see :func:`eri.data.probe.probe`.

    Args:
        data: Challenge folder or manifest YAML.
        output: The page.
        adapter: Dataset adapter of ``data``; None detects it.
        workers: Processes that read clips.
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
    content = {
        "subtitle": f"{table.root}, task {table.task.name}, fingerprint {table.fingerprint[:12]}",
        "headlines": _headlines(table, found),
        "sections": [Section(title, blocks) for title, blocks in _sections(table, found).items() if blocks],
    }
    return write_page(Path(output), "report.html", f"Data set {table.name}", content)


def _headlines(table: ClipTable, found: ProbeReport) -> list[Headline]:
    summary = found.summary
    labelled = sum(clip.labels is not None for clip in table)
    median = number(float(found.table["duration"].median()), 1)
    return [
        Headline("Clips", f"{len(table)}", f"{labelled} with labels"),
        Headline("Length", f"{summary.hours:.2f} h", f"median {median} s per clip"),
        Headline("With a problem", f"{sum(summary.problems.values())}", "clips"),
        Headline("Without video", f"{summary.without_video}", "clips"),
        Headline("Without audio", f"{summary.without_audio}", "clips"),
        Headline("Changing frame rate", f"{summary.frame_rate_changes}", "clips"),
    ]


def _sections(table: ClipTable, found: ProbeReport) -> dict[str, list[Block]]:
    ids = {split: [clip.id for clip in table.split(split) if clip.labels is not None] for split in SPLITS}
    truth = {str(split): table.label_matrix(labelled) for split, labelled in ids.items() if labelled}
    labels: list[Block] = [Paragraphs(["No clip has labels."])]
    correlations: list[Block] = []
    if truth:
        labels = [_classes(table, truth) if table.task.is_classification else _spread(table, truth)]
        if not table.task.is_classification and len(table.task.labels) > 1:
            over = "over the clips of a split"
            correlations = [correlation_figure("Correlations of labels", truth, table.task.labels, over)]
    return {
        "Splits": [_splits(table, found.table)],
        "Media": _media(found.table),
        "Missing media and clips with issues": _issues(found),
        "Labels": labels,
        "Correlations of labels": correlations,
        "Shifts between splits": _shifts(table, truth, found.table),
        "People": _people(table),
    }


def _splits(table: ClipTable, probed: pd.DataFrame) -> Block:
    rows: list[list[Value]] = []
    for split in SPLITS:
        clips = table.split(split)
        if clips:
            durations = probed["duration"][probed["split"] == split]
            subjects = len({clip.group for clip in clips if clip.group is not None}) or None
            labelled = sum(clip.labels is not None for clip in clips)
            hours, median = float(durations.sum()) / 3600, float(durations.median())
            rows.append([split, len(clips), labelled, subjects, hours, median])
    columns = ["split", "clips", "with labels", "subjects", "hours", "median seconds"]
    return Table("Clips by split", columns, rows)


def _media(probed: pd.DataFrame) -> list[Block]:
    """Return how long clips are and how they are encoded."""
    blocks: list[Block] = []
    durations = _durations(probed)
    if any(len(values) for values in durations.values()):
        chart, table = _histogram(durations, "Durations", "seconds")
        blocks.append(Figure("Durations", [chart], [table], _OUTLINES, list(durations)))
    sizes = probed[["width", "height"]].dropna()
    counted = {
        "Frames per second": probed["fps"].dropna().map("{:.4g}".format),
        "Pixels": sizes["width"].map(str) + " × " + sizes["height"].map(str),
        "Samples per second": probed["sample_rate"].dropna().map(str),
    }
    parts = [_counts(title, values) for title, values in counted.items() if len(values)]
    if parts:
        charts, tables = zip(*parts, strict=True)
        text = f"Clips of each; the {_MOST_BARS} most frequent are drawn. Frame rates are the mean over a clip."
        blocks.append(Figure("Encoding", charts, tables, text))
    return blocks


def _durations(probed: pd.DataFrame) -> dict[str, Floats]:
    by_split = {str(split): probed["duration"][probed["split"] == split] for split in SPLITS}
    return {name: values.dropna().to_numpy(dtype=np.float64) for name, values in by_split.items() if len(values)}


def _histogram(
    values: dict[str, Floats], title: str, axis: str, limits: tuple[float, float] | None = None
) -> tuple[Chart, Table]:
    """Draw how values spread in each split, and make the table of the bins."""
    everything = np.concatenate(list(values.values()))
    low, high = limits or (float(everything.min()), float(everything.max()))
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    shares = [np.histogram(part, edges)[0] / max(1, len(part)) for part in values.values()]
    rows = np.stack([edges[:-1], edges[1:], *shares], axis=1).tolist()
    table = Table(f"{title}: share of clips", ["from", "to", *values], rows)
    return Chart(draw_histogram(edges, shares, title, axis)), table


def _counts(title: str, values: pd.Series[str]) -> tuple[Chart, Table]:
    rows = [(str(name), int(times)) for name, times in values.value_counts().items()]
    bars = [Row(name, (Bar(float(times)),)) for name, times in rows[:_MOST_BARS]]
    svg = draw_intervals(bars, f"clips by {title.lower()}", "clips", whole=True)
    return Chart(svg, title), Table(title, [title.lower(), "clips"], rows)


def _issues(found: ProbeReport) -> list[Block]:
    """Return clips without a track, with a fault, or that are unusual."""
    table = found.table
    issues = {
        "no video": ~table["video"],
        "no audio": ~table["audio"],
        "changing frame rate": table["frame_rate_changes"],
        "rotated": table["rotation"].ne(0),
        "mirrored": table["mirrored"],
    }
    unusual = pd.DataFrame(issues)
    concerned = table[unusual.any(axis=1) | table["problem"].ne("") | table["notes"].ne("")]
    if concerned.empty:
        return [Paragraphs(["Every clip has video and audio, and none is unusual."])]
    rows: list[list[Value]] = []
    for clip_id, row in concerned.head(_MOST_ROWS).iterrows():
        named = [str(name) for name, holds in unusual.loc[str(clip_id)].items() if holds]
        shown = ", ".join(f"rotated by {row['rotation']}°" if name == "rotated" else name for name in named)
        rows.append([str(clip_id), str(row["split"]), shown, str(row["problem"]), str(row["message"] or row["notes"])])
    caption = "Clips with issues"
    if len(concerned) > len(rows):
        caption += f": the first {len(rows)} of {len(concerned)}"
    problems = list(found.summary.problems.items())
    blocks: list[Block] = [Table("Problems", ["problem", "clips"], problems)] if problems else []
    return [*blocks, Table(caption, ["clip", "split", "what", "problem", "message"], rows)]


def _spread(table: ClipTable, truth: dict[str, Floats]) -> Figure:
    """Return how each label spreads in each split."""
    charts, tables = [], []
    rows: list[list[Value]] = []
    for place, label in enumerate(table.task.labels):
        values = {split: matrix[:, place] for split, matrix in truth.items()}
        chart, numbers = _histogram(values, label, "", (table.task.low, table.task.high))
        charts.append(Chart(chart.svg, shorten(label, 36), 300))
        tables.append(numbers)
        for split, column in values.items():
            quartiles = np.quantile(column, [0.25, 0.5, 0.75]).tolist()
            rows.append([label, split, len(column), float(column.mean()), float(column.std()), *quartiles])
    columns = ["label", "split", "clips", "mean", "deviation", "first quartile", "median", "third quartile"]
    return Figure("Spread", charts, [Table("Labels by split", columns, rows), *tables], _OUTLINES, list(truth))


def _classes(table: ClipTable, truth: dict[str, Floats]) -> Figure:
    """Return how frequent each class is in each split."""
    rows: list[Row] = []
    cells: list[list[Value]] = []
    for place, name in enumerate(table.task.labels):
        shares = [float(values[:, place].mean()) for values in truth.values()]
        counts = [int(values[:, place].sum()) for values in truth.values()]
        rows.append(Row(name, [Bar(share) for share in shares]))
        cells.append([name, *(value for pair in zip(counts, shares, strict=True) for value in pair)])
    columns = ["class", *(f"{split}: {what}" for split in truth for what in ("clips", "share"))]
    svg = draw_intervals(rows, "share of each class by split", "share of clips")
    legend = list(truth) if len(truth) > 1 else []
    return Figure("Classes", [Chart(svg, width=400)], [Table("Classes by split", columns, cells)], "", legend)


def _shifts(table: ClipTable, truth: dict[str, Floats], probed: pd.DataFrame) -> list[Block]:
    """Return how labels and durations differ between splits: by their means, and by the Kolmogorov-Smirnov test."""
    from scipy.stats import ks_2samp

    columns = {
        label: {split: matrix[:, place] for split, matrix in truth.items()}
        for place, label in enumerate(table.task.labels)
    }
    columns["duration in seconds"] = _durations(probed)
    rows: list[list[Value]] = []
    p_values: list[float] = []
    for name, parts in columns.items():
        for (first, a), (second, b) in combinations(parts.items(), 2):
            if min(len(a), len(b)) >= _FEWEST:
                test = ks_2samp(a, b)
                p_values.append(float(test.pvalue))
                means = float(a.mean()), float(b.mean())
                rows.append([name, f"{first}, {second}", *means, float(test.statistic), p_values[-1]])
    if not rows:
        return [Paragraphs(["No two splits have enough clips with known values to be compared."])]
    corrected = holm(p_values)
    rows = [[*row, after] for row, after in zip(rows, corrected, strict=True)]
    heads = ["what", "splits", "mean of first", "mean of second", "largest gap (KS)", "p", "p after Holm"]
    shifted = sum(after < 0.05 for after in corrected)
    text = (
        "The largest gap is that between the shares of clips below any value. After Holm's correction "
        f"{shifted or 'none'} of {len(rows)} comparisons {'are' if shifted > 1 else 'is'} below 0.05. "
        "Clips of one person are alike, so that small p-values come easily."
    )
    return [Paragraphs([text]), Table("Shifts between splits", heads, rows)]


def _people(table: ClipTable) -> list[Block]:
    """Return the countries and ages of the people shown, by split; nothing where the data name none."""
    attributes = read_attributes(table)
    by_split = pd.Series([clip.split for clip in table], index=attributes.index)
    splits = [split for split in SPLITS if table.split(split)]
    charts, tables = [], []
    for column in map(str, attributes.columns):
        known = attributes[column][attributes[column] != ""]
        if known.empty:
            continue
        chart, counted = _counts(column, known)
        charts.append(chart)
        rows: list[list[Value]] = [
            [name, *(int(((known == name) & (by_split[known.index] == split)).sum()) for split in splits), times]
            for name, times in counted.rows
        ]
        tables.append(Table(f"Clips by {column}", [column, *splits, "all"], rows))
    return [Figure("People", charts, tables)] if charts else []
