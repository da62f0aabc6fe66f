"""Sections on the media of a data set: durations, frame rates, what is missing, whom the clips show."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

from eri.data.attributes import read_attributes
from eri.data.clips import SPLITS, ClipTable
from eri.data.probe import ProbeReport
from eri.metrics.intensities import Floats
from eri.reports.charts import draw_bars, draw_histogram
from eri.reports.html.blocks import Block, Chart, Figure, Paragraphs, Table, Value, make_table

_BINS = 24
_MOST_ROWS = 500
_MOST_BARS = 12


def make_media(table: pd.DataFrame) -> list[Block]:
    """Return how long clips are and how they are coded.

    Args:
        table: Of :func:`eri.data.probe.probe`.
    """
    blocks: list[Block] = []
    splits = [split for split in SPLITS if (table["split"] == split).any()]
    durations: dict[str, Floats] = {split: _known(table["duration"][table["split"] == split]) for split in splits}
    if any(len(values) for values in durations.values()):
        blocks.append(histogram(durations, "Durations", "seconds"))
    rates = Counter(f"{value:.4g}" for value in _known(table["fps"]))
    sizes = Counter(f"{w} × {h}" for w, h in table[["width", "height"]].dropna().itertuples(index=False))
    sounds = Counter(f"{value}" for value in table["sample_rate"].dropna())
    counted = (("Frames a second", rates), ("Pixels", sizes), ("Samples a second", sounds))
    parts = [_counts(title, counts) for title, counts in counted if counts]
    if parts:
        charts, tables = zip(*parts, strict=True)
        text = f"Clips of each; the {_MOST_BARS} most frequent are drawn. Frame rates are the mean over a clip."
        blocks.append(Figure("Coding", charts, tables[0], text, tables=tables[1:]))
    return blocks


def histogram(values: dict[str, Floats], title: str, axis: str, limits: tuple[float, float] | None = None) -> Figure:
    """Draw how values spread in each split, with a table of the bins."""
    chart, table = histogram_chart(values, title, axis, limits)
    text = "Share of each split's clips: the first split as bars, others as outlines."
    return Figure(title, (chart,), table, text, tuple(values))


def histogram_chart(
    values: dict[str, Floats], title: str, axis: str, limits: tuple[float, float] | None = None
) -> tuple[Chart, Table]:
    """Draw how values spread in each split, and make the table of the bins."""
    everything = np.concatenate(list(values.values()))
    low, high = limits or (float(everything.min()), float(everything.max()))
    edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
    shares = [np.histogram(part, edges)[0] / max(1, len(part)) for part in values.values()]
    rows: list[list[Value]] = [
        [float(edges[i]), float(edges[i + 1]), *(float(row[i]) for row in shares)] for i in range(_BINS)
    ]
    table = make_table(f"{title}: share of clips", ["from", "to", *values], rows)
    return Chart(draw_histogram(edges, shares, title, axis)), table


def _known(column: pd.Series[float]) -> Floats:
    known: Floats = np.asarray(column.dropna(), dtype=np.float64)
    return known


def _counts(title: str, counts: Counter[str]) -> tuple[Chart, Table]:
    rows: list[list[Value]] = [[name, count] for name, count in counts.most_common()]
    most = counts.most_common(_MOST_BARS)
    svg = draw_bars([name for name, _ in most], [count for _, count in most], f"{title}: clips", "clips")
    return Chart(svg, title), make_table(title, [title.lower(), "clips"], rows)


def make_missing(found: ProbeReport) -> list[Block]:
    """Return clips without a track, with a fault, or that are unusual."""
    table, summary = found.table, found.summary
    blocks: list[Block] = []
    if summary.problems:
        counts: list[list[Value]] = [[reason, count] for reason, count in summary.problems.items()]
        blocks.append(make_table("Problems", ["problem", "clips"], counts))
    odd = table[
        (table["problem"] != "")
        | (table["notes"] != "")
        | table["frame_rate_changes"]
        | table["rotation"].ne(0)
        | table["mirrored"]
        | ~table["video"]
        | ~table["audio"]
    ]
    if odd.empty:
        return [Paragraphs(("Every clip has pictures and sound, and none is unusual.",))]
    rows: list[list[Value]] = [
        [
            str(clip_id),
            str(row["split"]),
            ", ".join(_oddities(row)),
            str(row["problem"]),
            str(row["message"] or row["notes"]),
        ]
        for clip_id, row in odd.head(_MOST_ROWS).iterrows()
    ]
    caption = "Clips to know of" + (f": the first {len(rows)} of {len(odd)}" if len(odd) > len(rows) else "")
    return [*blocks, make_table(caption, ["clip", "split", "what", "problem", "message"], rows)]


def _oddities(row: pd.Series) -> list[str]:
    told = {
        "no pictures": not row["video"],
        "no sound": not row["audio"],
        "changing frame rate": row["frame_rate_changes"],
        f"turned by {row['rotation']}°": row["rotation"] != 0,
        "mirrored": row["mirrored"],
    }
    return [name for name, holds in told.items() if holds]


def make_people(table: ClipTable) -> list[Block]:
    """Return the countries and ages of whom the clips show, split by split; nothing where the data tell none."""
    attributes = read_attributes(table)
    parts: list[tuple[Chart, Table]] = []
    splits = [split for split in SPLITS if table.split(split)]
    by_split = pd.Series([clip.split for clip in table], index=attributes.index)
    for column in attributes.columns:
        known = attributes[column][attributes[column] != ""]
        counts = Counter(known)
        if not counts:
            continue
        most = counts.most_common(_MOST_BARS)
        svg = draw_bars([name for name, _ in most], [count for _, count in most], f"clips by {column}", "clips")
        rows: list[list[Value]] = [
            [name, *(int(((known == name) & (by_split[known.index] == split)).sum()) for split in splits), count]
            for name, count in counts.most_common()
        ]
        parts.append((Chart(svg, str(column)), make_table(f"Clips by {column}", [str(column), *splits, "all"], rows)))
    if not parts:
        return []
    charts, tables = zip(*parts, strict=True)
    return [Figure("People", charts, tables[0], tables=tables[1:])]
