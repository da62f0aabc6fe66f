"""Bars and intervals, one row a name; histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from eri.metrics.intensities import Floats
from eri.reports.charts.drawing import DASHES, WIDTH, Sheet, open_sheet, room_for, spanning
from eri.reports.charts.marks import draw_hollow, draw_mark, draw_whisker, name_rows, series_colour
from eri.reports.charts.vector import colour

_ROW = 24.0
_LOW_ROW = 18.0
_THICK = 13.0
_LETTERS = 24


@dataclass(frozen=True)
class Bar:
    """One value of a row.

    Attributes:
        value: None where it is undefined.
        low: Of its interval; None where there is none.
        high: Of its interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """A name with its values.

    Attributes:
        name: Written left of the bars.
        bars: One a series.
        strong: Stands out, as a mean does.
        hollow: Is no result of ours, such as a published figure.
    """

    name: str
    bars: tuple[Bar, ...]
    strong: bool = False
    hollow: bool = False


def draw_intervals(
    rows: Sequence[Row], label: str, axis: str, *, keep: Sequence[float] = (0.0,), whole: bool = False
) -> Markup:
    """Draw a row a name: a bar with its interval where there is one series, else a mark with its interval for each.

    Args:
        rows: With as many bars each as there are series; hollow ones with one.
        label: What a screen reader says.
        axis: What the values are.
        keep: Values that the axis must show.
        whole: The values count something.
    """
    values = [limit for row in rows for bar in row.bars for limit in (bar.value, bar.low, bar.high)]
    series = max((len(row.bars) for row in rows), default=1)
    high = _ROW if series <= 2 else 11.0 * series + 6
    rooms = np.array([_LOW_ROW if row.hollow else high for row in rows])
    middles, total = (np.cumsum(rooms) - rooms / 2).tolist(), float(rooms.sum()) or high
    names = [row.name for row in rows]
    with open_sheet(WIDTH, total + 40, left=room_for(names, _LETTERS)) as sheet:
        sheet.scale("x", spanning(values, keep=keep), axis, whole=whole)
        sheet.axes.set_ylim(total, 0.0)
        name_rows(sheet, middles, names, _LETTERS, [row.strong for row in rows])
        for row, middle in zip(rows, middles, strict=True):
            step = (high - 8) / len(row.bars) if row.bars else 0.0
            for place, bar in enumerate(row.bars):
                y = middle + (place - (len(row.bars) - 1) / 2) * step
                _draw_bar(sheet, row, bar, y, place, lone=series == 1)
        return sheet.render(label)


def _draw_bar(sheet: Sheet, row: Row, bar: Bar, y: float, place: int, *, lone: bool) -> None:
    axes, series = sheet.axes, series_colour(place)
    if bar.value is None or not math.isfinite(bar.value):
        said = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "fontsize": 11.0}
        axes.annotate("undefined", (0.0, y), color=colour("soft"), **said)
        return
    title = f"{row.name}: {bar.value:.3f}"
    if bar.low is not None and bar.high is not None:
        title += f" [{bar.low:.3f}, {bar.high:.3f}]"
    if lone and not row.hollow:
        (box,) = axes.barh(y, bar.value, height=_THICK, color=(series, 1.0 if row.strong else 0.72))
        sheet.title(box, title)
    if bar.low is not None and bar.high is not None:
        draw_whisker(sheet, (bar.low, bar.high), (y, y), colour("ink") if lone else series)
    if row.hollow:
        draw_hollow(sheet, bar.value, y, title)
    elif not lone:
        draw_mark(sheet, place, bar.value, y, title)


def draw_bars(names: Sequence[str], counts: Sequence[float], label: str, axis: str) -> Markup:
    """Draw one bar a name: how often it occurs."""
    rows = [Row(name, (Bar(float(count)),)) for name, count in zip(names, counts, strict=True)]
    return draw_intervals(rows, label, axis, whole=True)


def draw_histogram(edges: Floats, shares: Sequence[Floats], label: str, axis: str) -> Markup:
    """Draw how values spread: the first series as bars, others as outlines over them.

    Args:
        edges: Of the bins, (bins + 1,), ascending.
        shares: Share of the clips in each bin, (bins,), a series.
        label: What a screen reader says.
        axis: What the values are.
    """
    most = max((float(np.max(row)) for row in shares if len(row)), default=1.0) or 1.0
    under = 36.0 if axis else 20.0
    with open_sheet(WIDTH, 150.0 + under, left=40.0, top=20.0, bottom=under) as sheet:
        sheet.scale("x", (float(edges[0]), float(edges[-1])), axis, 5)
        sheet.scale("y", (0.0, most), "share of clips", 4)
        for place, row in enumerate(shares):
            if place == 0:
                _draw_boxes(sheet, edges, row)
            else:
                look = {"edgecolor": series_colour(place), "linewidth": 2.0, "linestyle": DASHES[place % 4]}
                sheet.axes.stairs(row, edges, **look)
        sheet.axes.set_ylim(0.0, most)
        return sheet.render(label)


def _draw_boxes(sheet: Sheet, edges: Floats, row: Floats) -> None:
    for start, end, share in zip(edges[:-1], edges[1:], row, strict=True):
        if share > 0:
            look = {"color": (series_colour(0), 0.55), "edgecolor": colour("paper"), "linewidth": 1.0}
            (box,) = sheet.axes.bar(start, share, width=end - start, align="edge", **look)
            sheet.title(box, f"{start:.3g} to {end:.3g}: {share:.1%}")
