"""Bars and intervals, one row a name; histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from eri.metrics import Floats
from eri.pages.charts.scales import (
    CHARACTER,
    WIDTH,
    Scale,
    horizontal_axis,
    marker,
    polyline,
    spanning,
    svg,
    vertical_axis,
)
from eri.pages.elements import element, join, shorten

_ROW = 24.0
_LOW_ROW = 18.0
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


def draw_intervals(rows: Sequence[Row], label: str, axis: str, *, keep: Sequence[float] = (0.0,)) -> Markup:
    """Draw a row a name: a bar with its interval where there is one series, else a mark with its interval for each.

    Args:
        rows: With as many bars each as there are series; hollow ones with one.
        label: What a screen reader says.
        axis: What the values are.
        keep: Values that the axis must show.
    """
    left = _left(rows)
    values = [limit for row in rows for bar in row.bars for limit in (bar.value, bar.low, bar.high)]
    scale = Scale(*spanning(values, keep=keep), left, WIDTH - 12.0)
    series = max((len(row.bars) for row in rows), default=1)
    height = _ROW if series <= 2 else 11.0 * series + 6
    parts, y = [], 4.0
    for row in rows:
        room = _LOW_ROW if row.hollow else height
        middle = y + room / 2
        parts.append(_name(row.name, left - 8, middle + 4, "strong" if row.strong else ""))
        for place, bar in enumerate(row.bars):
            offset = 0.0 if len(row.bars) == 1 else (place - (len(row.bars) - 1) / 2) * (height - 8) / len(row.bars)
            parts.append(_draw_bar(row, bar, scale, middle + offset, place, lone=series == 1))
        y += room
    axes = horizontal_axis(scale, 4, y, axis)
    return svg(WIDTH, y + 34, label, axes, *parts)


def _draw_bar(row: Row, bar: Bar, scale: Scale, y: float, place: int, *, lone: bool) -> Markup:
    if bar.value is None:
        return element("text", "undefined", x=scale(0.0) + 6, y=y + 4, class_="tick")
    title = f"{row.name}: {bar.value:.3f}"
    if bar.low is not None and bar.high is not None:
        title += f" [{bar.low:.3f}, {bar.high:.3f}]"
    x, zero = scale(bar.value), scale(0.0)
    parts = []
    if row.hollow:
        parts.append(element("circle", element("title", title), cx=x, cy=y, r=4.0, class_="hollow"))
    elif lone:
        box = {"x": min(x, zero), "y": y - 6.5, "width": abs(x - zero), "height": 13.0}
        parts.append(element("rect", element("title", title), **box, class_="bar strong" if row.strong else "bar"))
    if bar.low is not None and bar.high is not None:
        class_ = "whisker" if lone else f"whisker series-{place % 6}"
        parts.append(element("line", x1=scale(bar.low), x2=scale(bar.high), y1=y, y2=y, class_=class_))
    if not lone and not row.hollow:
        parts.append(marker(place, x, y, title))
    return join(parts)


def draw_bars(names: Sequence[str], counts: Sequence[float], label: str, axis: str) -> Markup:
    """Draw one bar a name, such as how often it occurs."""
    return draw_intervals(
        [Row(name, (Bar(float(count)),)) for name, count in zip(names, counts, strict=True)], label, axis
    )


def draw_histogram(edges: Floats, shares: Sequence[Floats], label: str, axis: str) -> Markup:
    """Draw how values spread: the first series as bars, others as outlines over them.

    Args:
        edges: Of the bins, (bins + 1,), ascending.
        shares: Share of the clips in each bin, (bins,), a series.
        label: What a screen reader says.
        axis: What the values are.
    """
    top, bottom, left, right = 20.0, 150.0, 40.0, WIDTH - 12.0
    x = Scale(float(edges[0]), float(edges[-1]), left, right)
    y = Scale(0.0, max((float(np.max(row)) for row in shares if len(row)), default=1.0) or 1.0, bottom, top)
    parts = [horizontal_axis(x, top, bottom, axis, 5), vertical_axis(y, left, right, "share of clips", 3)]
    for place, row in enumerate(shares):
        if place == 0:
            parts.extend(_boxes(edges, row, x, y))
        else:
            steps = [(x(edge), y(value)) for i, value in enumerate(row) for edge in (edges[i], edges[i + 1])]
            parts.append(polyline(steps, f"line series-{place % 6} dash-{place % 4}"))
    return svg(WIDTH, bottom + 36, label, *parts)


def _boxes(edges: Floats, row: Floats, x: Scale, y: Scale) -> list[Markup]:
    return [
        element(
            "rect",
            element("title", f"{edges[i]:.3g} to {edges[i + 1]:.3g}: {value:.1%}"),
            x=x(edges[i]) + 0.5,
            y=y(value),
            width=max(0.5, x(edges[i + 1]) - x(edges[i]) - 1),
            height=y(0.0) - y(value),
            class_="bar pale",
        )
        for i, value in enumerate(row)
        if value > 0
    ]


def _left(rows: Sequence[Row]) -> float:
    longest = max((min(len(row.name), _LETTERS) for row in rows), default=0)
    return 20.0 + CHARACTER * longest


def _name(text: str, x: float, y: float, class_: str) -> Markup:
    short = shorten(text, _LETTERS)
    title = [element("title", text)] if short != text else []
    return element("text", short, *title, x=x, y=y, text_anchor="end", class_=f"name {class_}".strip())
