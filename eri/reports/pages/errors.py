"""Sections on where predictions go wrong: against the truth, calibration, groups, confusions, co-occurrence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eri.metrics.intensities import Floats, pearson
from eri.metrics.recognition import Recognition, decide
from eri.reports.charts import Bar, Row, draw_intervals, draw_matrix, draw_panel
from eri.reports.charts.plots import PANEL
from eri.reports.html.blocks import Block, Chart, Figure, Paragraphs, Table, Value, make_table, number, shorten
from eri.reports.pages.groups import group_clips, members
from eri.reports.pages.systems import System

_BINS = 8
_MOST_CLIPS = 2000
"""Clips drawn and listed; of more, this many spread evenly over their ids."""

_LETTERS = 22
_NORMAL = 1.96


def make_scatter(system: System) -> list[Block]:
    """Return predicted against true values, a panel a label."""
    labels = system.task.labels
    chosen = np.unique(np.linspace(0, len(system.ids) - 1, min(len(system.ids), _MOST_CLIPS)).round().astype(int))
    limits = _limits(system)
    correlations = pearson(system.predictions, system.truth)
    charts = []
    for place, label in enumerate(labels):
        true, predicted = system.truth[chosen, place], system.predictions[chosen, place]
        points = zip(chosen, true, predicted, strict=True)
        names = [f"{system.ids[i]}: true {a:.2f}, predicted {b:.2f}" for i, a, b in points]
        svg = draw_panel(
            true, predicted, f"{label}: predicted against true", ("true", "predicted"), limits, names=names
        )
        charts.append(Chart(svg, f"{shorten(label, _LETTERS)}, r {number(float(correlations[place]), 2)}", PANEL))
    columns = ["clip", *(f"{label}: {what}" for label in labels for what in ("true", "predicted"))]
    rows: list[list[Value]] = [
        [system.ids[i], *np.stack([system.truth[i], system.predictions[i]], axis=1).ravel().tolist()] for i in chosen
    ]
    text = "Every point is a clip; on the dashed line a prediction is right."
    if len(chosen) < len(system.ids):
        text += f" {len(chosen)} of {len(system.ids)} clips are shown; predictions.parquet holds all."
    return [Figure("Predicted against true", tuple(charts), make_table("Every clip", columns, rows), text)]


def _limits(system: System) -> tuple[float, float]:
    values = np.concatenate([system.predictions.ravel(), system.truth.ravel()])
    return min(system.task.low, float(values.min())), max(system.task.high, float(values.max()))


def make_calibration(system: System) -> list[Block]:
    """Return how the truth of clips with like predictions lies: of labels their mean, of classes their accuracy."""
    if system.task.is_classification:
        return _confidence(system)
    limits, charts = _limits(system), []
    rows: list[list[Value]] = []
    for place, label in enumerate(system.task.labels):
        bins = _equal_bins(system.predictions[:, place], system.truth[:, place])
        rows += [[label, count, x, y, low, high] for count, x, y, low, high in bins]
        values = np.array([row[1:] for row in bins], dtype=np.float64).reshape(len(bins), 4)
        svg = draw_panel(
            values[:, 0],
            values[:, 1],
            f"{label}: mean truth of clips with like predictions",
            ("mean predicted", "mean true"),
            limits,
            whiskers=[(row[2], row[3]) for row in values.tolist()],
            joined=True,
        )
        charts.append(Chart(svg, shorten(label, _LETTERS), PANEL))
    columns = ["label", "clips", "mean predicted", "mean true", "low", "high"]
    text = (
        f"Clips in up to {_BINS} parts of like size by their prediction. Below the dashed line predictions are too "
        "high, above it too low. Whiskers: 95 % of the mean."
    )
    return [Figure("Calibration", tuple(charts), make_table("Calibration", columns, rows), text)]


def _equal_bins(predicted: Floats, true: Floats) -> list[tuple[int, float, float, float, float]]:
    """Return clips, mean prediction, mean truth and its interval of parts of like size."""
    order = np.argsort(predicted, kind="stable")
    parts = np.array_split(order, max(1, min(_BINS, len(order) // 5)))
    return [(len(part), float(predicted[part].mean()), *_mean(true[part])) for part in parts]


def _mean(values: Floats) -> tuple[float, float, float]:
    mean = float(values.mean())
    reach = _NORMAL * float(values.std(ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return mean, mean - reach, mean + reach


def _confidence(system: System) -> list[Block]:
    confidence = system.predictions.max(axis=1)
    right = (decide(system.predictions) == decide(system.truth)).astype(np.float64)
    bins = _equal_bins(confidence, right)
    values = np.array([row[1:] for row in bins], dtype=np.float64)
    off = float(np.sum([row[0] * abs(row[1] - row[2]) for row in bins]) / len(confidence))
    svg = draw_panel(
        values[:, 0],
        values[:, 1],
        "share decided rightly by confidence",
        ("confidence", "share right"),
        (0.0, 1.0),
        whiskers=[(row[2], row[3]) for row in values.tolist()],
        joined=True,
    )
    columns = ["clips", "mean confidence", "share right", "low", "high"]
    text = f"Confidence is the probability of the class decided for; it is off by {off:.3f} in the mean."
    table = make_table("Calibration", columns, [list(row) for row in bins])
    return [Figure("Calibration", (Chart(svg, width=PANEL),), table, text)]


def make_confusion(system: System) -> list[Block]:
    """Return the confusion matrix of a classification."""
    scores, names = system.scores, list(system.task.labels)
    assert isinstance(scores, Recognition)
    counts = np.array(scores.confusion, dtype=np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    texts = [[f"{int(count)}" for count in row] for row in counts]
    svg = draw_matrix(shares, names, texts, "confusion matrix", across="decided", down="class")
    rows: list[list[Value]] = [[name, *map(int, row)] for name, row in zip(names, counts, strict=True)]
    table = make_table("Clips by class (rows) and decision (columns)", ["class", *names], rows)
    text = "Clips of each class (row) by what was decided for them (column); colour is the share of the row."
    return [Figure("Confusion matrix", (Chart(svg, width=420),), table, text)]


def make_groups(system: System) -> list[Block]:
    """Return how predictions of groups of clips differ from the truth."""
    groups = group_clips(system)
    if not groups:
        return [Paragraphs(("The data name no country or age, and all clips are alike in face and sound.",))]
    parts = [_group_chart(system, part, found) for part, found in groups.items()]
    what = "Share of clips decided rightly." if system.task.is_classification else "Residuals over all labels."
    text = f"{what} Whiskers: 95 % of the mean. In brackets: clips."
    charts, tables = zip(*parts, strict=True)
    return [Figure("Groups", charts, tables[0], text, tables=tables[1:])]


def _group_chart(system: System, part: str, groups: pd.Series[str]) -> tuple[Chart, Table]:
    if system.task.is_classification:
        error = (decide(system.predictions) == decide(system.truth)).astype(np.float64)
        axis = "share right"
    else:
        error = (system.predictions - system.truth).mean(axis=1)
        axis = "mean of predicted minus true"
    rows: list[Row] = []
    cells: list[list[Value]] = []
    for name, chosen in members(groups, system.ids):
        mean, low, high = _mean(error[chosen])
        count = int(chosen.sum())
        rows.append(Row(f"{name} ({count})", (Bar(mean, low, high),)))
        cells.append([name, count, mean, low, high, *_group_scores(system, chosen)])
    columns = [part.lower(), "clips", axis, "low", "high", *_group_columns(system)]
    title = f"{axis} by {part.lower()}"
    keep = (0.0, 1.0) if system.task.is_classification else (0.0,)
    return Chart(draw_intervals(rows, title, axis, keep=keep), part), make_table(title, columns, cells)


def _group_columns(system: System) -> list[str]:
    if system.task.is_classification:
        return []
    return ["mean absolute error", "mean Pearson", *(f"{label}: residual" for label in system.task.labels)]


def _group_scores(system: System, chosen: NDArray[np.bool_]) -> list[Value]:
    if system.task.is_classification:
        return []
    residuals = system.predictions[chosen] - system.truth[chosen]
    correlation = float(pearson(system.predictions[chosen], system.truth[chosen]).mean()) if chosen.sum() > 2 else None
    return [float(np.abs(residuals).mean()), correlation, *residuals.mean(axis=0).tolist()]


def make_cooccurrence(system: System) -> list[Block]:
    """Return which labels rise and fall together, in truth and as predicted."""
    charts, tables = [], []
    for title, values in (("true", system.truth), ("predicted", system.predictions)):
        chart, table = correlation_chart(values, system.task.labels, f"{title} labels")
        charts.append(chart)
        tables.append(table)
    text = "Pearson between labels over clips: blue rise together, orange one falls as the other rises."
    return [Figure("Co-occurrence of labels", tuple(charts), tables[0], text, tables=(tables[1],))]


def correlation_chart(values: Floats, names: Sequence[str], title: str) -> tuple[Chart, Table]:
    """Draw the correlations between columns, (clips, names), with their table."""
    result = np.full((len(names), len(names)), np.nan)
    for place in range(len(names)):
        result[place] = pearson(np.repeat(values[:, place : place + 1], len(names), axis=1), values)
    texts = [[number(float(value), 2) for value in row] for row in result]
    rows: list[list[Value]] = [[name, *row.tolist()] for name, row in zip(names, result, strict=True)]
    table = make_table(f"Correlations between {title}", ["label", *names], rows)
    return Chart(draw_matrix(result, names, texts, f"correlations between {title}"), title, 400), table
