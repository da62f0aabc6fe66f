"""Sections on the labels of a data set: how they spread, which go together, how splits differ."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from eri.data.clips import SPLITS, ClipTable
from eri.evaluation.comparison import holm
from eri.metrics.intensities import Floats
from eri.reports.charts import Bar, Row, draw_intervals
from eri.reports.html.blocks import Block, Chart, Figure, Paragraphs, Table, Value, make_table, shorten
from eri.reports.pages.errors import correlation_chart
from eri.reports.pages.media_sections import histogram_chart

_FEWEST = 5
"""Clips of a split below which no shift is tested."""


def make_labels(table: ClipTable) -> list[Block]:
    """Return how each label spreads in each split, or how frequent each class is."""
    if table.task.is_classification:
        return [_classes(table)]
    truth = _by_split(table)
    charts, tables = [], []
    for place, label in enumerate(table.task.labels):
        values = {split: rows[:, place] for split, rows in truth.items()}
        chart, numbers = histogram_chart(values, label, "", (table.task.low, table.task.high))
        charts.append(Chart(chart.svg, shorten(label, 36), 300))
        tables.append(numbers)
    text = "Share of each split's clips: the first split as bars, others as outlines."
    summary = _summary(table, truth)
    return [Figure("Spread", tuple(charts), summary, text, tuple(truth), tuple(tables))]


def _by_split(table: ClipTable) -> dict[str, Floats]:
    found = {}
    for split in SPLITS:
        labelled = [clip.id for clip in table.split(split) if clip.labels is not None]
        if labelled:
            found[str(split)] = table.label_matrix(labelled)
    return found


def _summary(table: ClipTable, truth: dict[str, Floats]) -> Table:
    rows: list[list[Value]] = []
    for place, label in enumerate(table.task.labels):
        for split, values in truth.items():
            column = values[:, place]
            quartiles = [float(value) for value in np.quantile(column, [0.25, 0.5, 0.75])]
            rows.append([label, split, len(column), float(column.mean()), float(column.std()), *quartiles])
    columns = ["label", "split", "clips", "mean", "deviation", "first quartile", "median", "third quartile"]
    return make_table("Labels by split", columns, rows)


def _classes(table: ClipTable) -> Figure:
    truth = _by_split(table)
    shares = {split: values.mean(axis=0) for split, values in truth.items()}
    rows = [
        Row(name, tuple(Bar(float(share[place])) for share in shares.values()))
        for place, name in enumerate(table.task.labels)
    ]
    cells: list[list[Value]] = [
        [name, *(value for split in truth for value in (int(truth[split][:, i].sum()), float(shares[split][i])))]
        for i, name in enumerate(table.task.labels)
    ]
    columns = ["class", *(f"{split}: {what}" for split in truth for what in ("clips", "share"))]
    svg = draw_intervals(rows, "share of each class by split", "share of clips")
    legend = tuple(truth) if len(truth) > 1 else ()
    return Figure("Classes", (Chart(svg, width=400),), make_table("Classes by split", columns, cells), "", legend)


def make_label_correlations(table: ClipTable) -> list[Block]:
    """Return which labels rise and fall together, in each split."""
    parts = [correlation_chart(values, table.task.labels, split) for split, values in _by_split(table).items()]
    charts, tables = zip(*parts, strict=True)
    text = "Pearson over the clips of a split: blue rise together, orange one falls as the other rises."
    return [Figure("Correlations of labels", charts, tables[0], text, tables=tables[1:])]


def make_shifts(table: ClipTable, looked: pd.DataFrame) -> list[Block]:
    """Return how labels and durations differ between splits: by their means, and by Kolmogorov and Smirnov's test.

    Args:
        table: The clips.
        looked: Of :func:`eri.data.probe.probe`.
    """
    from scipy.stats import ks_2samp

    columns: dict[str, dict[str, Floats]] = {}
    for split, values in _by_split(table).items():
        for place, label in enumerate(table.task.labels):
            columns.setdefault(label, {})[split] = values[:, place]
    for split in SPLITS:
        durations = looked["duration"][looked["split"] == split].dropna().to_numpy(dtype=np.float64)
        if len(durations):
            columns.setdefault("duration in seconds", {})[str(split)] = durations
    rows: list[list[Value]] = []
    for name, parts in columns.items():
        for first, second in combinations(parts, 2):
            a, b = parts[first], parts[second]
            if min(len(a), len(b)) < _FEWEST:
                continue
            test = ks_2samp(a, b)
            rows.append(
                [
                    name,
                    f"{first}, {second}",
                    float(a.mean()),
                    float(b.mean()),
                    float(test.statistic),
                    float(test.pvalue),
                ]
            )
    if not rows:
        return [Paragraphs(("No two splits have enough clips with known values to be compared.",))]
    corrected = holm([float(row[-1] or 0.0) for row in rows])
    cells = [[*row, after] for row, after in zip(rows, corrected, strict=True)]
    heads = ["what", "splits", "mean of first", "mean of second", "largest gap (KS)", "p", "p after Holm"]
    shifted = sum(after < 0.05 for after in corrected)
    said = (
        "The largest gap is that between the shares of clips below any value. After Holm's correction "
        f"{shifted or 'none'} of {len(cells)} comparisons {'are' if shifted > 1 else 'is'} below 0.05. "
        "Clips of one person are alike, so that small p-values come easily."
    )
    return [Paragraphs((said,)), make_table("Shifts between splits", heads, cells)]
