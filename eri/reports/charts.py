"""Charts as SVG by matplotlib: bars with intervals, histograms, lines, points, matrices, and the values of one clip.

The last ``label`` of a chart is what a screen reader calls it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from eri.metrics.intensities import Floats
from eri.reports.page import shorten
from eri.reports.sheet import DASHES, WIDTH, Sheet, colour, open_sheet, room_for, spanning, writable

PANEL = 176
"""Width and height of a panel in pixels."""

_NAMED_POINTS = 400  # points that each have a name to be shown under the mouse; more of them are drawn as one path
_NUMBERED = 10  # names up to which a matrix has its numbers written into the squares
_STRONGEST = 0.62  # opacity of a matrix's strongest colour: the number on it stays readable in light and dark
_SHAPES = ("o", "s", "^", "D")
_SIZES = (8.0, 7.5, 9.0, 7.0)


@dataclass(frozen=True)
class Bar:
    """One value of a row with its interval; None is undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """A name with its values, one per series."""

    name: str
    bars: Sequence[Bar]
    strong: bool = False  # stands out, as a mean does
    hollow: bool = False  # is no result of ours, such as a published score


def draw_intervals(
    rows: Sequence[Row], label: str, axis: str, *, keep: Sequence[float] = (0.0,), whole: bool = False
) -> Markup:
    """Draw one row per name: a bar with its interval where there is one series, else a mark and interval for each.

    The axis shows at least the values in ``keep``, and whole numbers only where values count something.
    """
    values = [limit for row in rows for bar in row.bars for limit in (bar.value, bar.low, bar.high)]
    series = max((len(row.bars) for row in rows), default=1)
    high = 24.0 if series <= 2 else 11.0 * series + 6
    rooms = np.array([18.0 if row.hollow else high for row in rows])
    middles, total = (np.cumsum(rooms) - rooms / 2).tolist(), float(rooms.sum()) or high
    names = [row.name for row in rows]
    with open_sheet(WIDTH, total + 40, left=room_for(names, 24)) as sheet:
        sheet.scale("x", spanning(values, keep=keep), axis, whole=whole)
        sheet.axes.set_ylim(total, 0.0)
        _name_rows(sheet, middles, names, 24, [row.strong for row in rows])
        for row, middle in zip(rows, middles, strict=True):
            step = (high - 8) / max(1, len(row.bars))
            for place, bar in enumerate(row.bars):
                y = middle + (place - (len(row.bars) - 1) / 2) * step
                _draw_bar(sheet, row, bar, y, place, lone=series == 1)
        return sheet.render(label)


def _draw_bar(sheet: Sheet, row: Row, bar: Bar, y: float, place: int, *, lone: bool) -> None:
    series = _series_colour(place)
    if bar.value is None or not math.isfinite(bar.value):
        style = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "fontsize": 11.0}
        sheet.axes.annotate("undefined", (0.0, y), color=colour("soft"), **style)
        return
    interval = None if bar.low is None or bar.high is None else (bar.low, bar.high)
    title = f"{row.name}: {bar.value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")
    if lone and not row.hollow:
        (box,) = sheet.axes.barh(y, bar.value, height=13.0, color=(series, 1.0 if row.strong else 0.72))
        sheet.title(box, title)
    if interval:
        _draw_whisker(sheet, interval, (y, y), colour("ink") if lone else series)
    if row.hollow or not lone:
        _draw_mark(sheet, None if row.hollow else place, bar.value, y, title)


def draw_histogram(edges: Floats, shares: Sequence[Floats], label: str, axis: str) -> Markup:
    """Draw the share of clips in each bin: the first series as bars, others as outlines over them."""
    most = max((float(np.max(row)) for row in shares if len(row)), default=1.0) or 1.0
    under = 36.0 if axis else 20.0
    with open_sheet(WIDTH, 150.0 + under, left=40.0, top=20.0, bottom=under) as sheet:
        sheet.scale("x", (float(edges[0]), float(edges[-1])), axis)
        sheet.scale("y", (0.0, most), "share of clips", 4)
        for place, row in enumerate(shares):
            if place:
                style = {"edgecolor": _series_colour(place), "linewidth": 2.0, "linestyle": DASHES[place % 4]}
                sheet.axes.stairs(row, edges, **style)
                continue
            style = {"color": (_series_colour(0), 0.55), "edgecolor": colour("paper"), "linewidth": 1.0}
            for start, end, share in zip(edges[:-1], edges[1:], row, strict=True):
                if share > 0:
                    (box,) = sheet.axes.bar(start, share, width=end - start, align="edge", **style)
                    sheet.title(box, f"{start:.3g} to {end:.3g}: {share:.1%}")
        sheet.axes.set_ylim(0.0, most)
        return sheet.render(label)


def draw_lines(
    across: Sequence[float],
    lines: Sequence[Sequence[float | None]],
    label: str,
    axes: tuple[str, str],
    *,
    chosen: float | None = None,
) -> Markup:
    """Draw series over a common axis of ascending whole numbers, such as epochs; None leaves a gap.

    ``chosen`` is a place on the axis to mark.
    """
    low, high = spanning([value for line in lines for value in line])
    room, limits = (high - low) * 0.05, spanning(across)
    with open_sheet(WIDTH, 208.0, left=44.0, top=22.0) as sheet:
        sheet.scale("x", limits, axes[0], whole=True)
        sheet.scale("y", (low - room, high + room), axes[1])
        if chosen is not None:
            sheet.axes.axvline(chosen, color=colour("ink"), linewidth=1.0, linestyle=(0, (2, 3)))
            side, reach = ("right", -5) if chosen > sum(limits) / 2 else ("left", 5)
            style = {"xytext": (reach, 5), "textcoords": "offset points", "color": colour("soft"), "fontsize": 11.0}
            sheet.axes.annotate("chosen", (chosen, high + room), ha=side, **style)
        for place, line in enumerate(lines):
            values = np.array(line, dtype=np.float64)  # None becomes NaN, which leaves a gap
            sheet.axes.plot(across, values, color=_series_colour(place), linestyle=DASHES[place % 4], linewidth=2.0)
            known = np.flatnonzero(np.isfinite(values))
            if len(known) == 1:
                _draw_mark(sheet, place, across[known[0]], float(values[known[0]]), label)
        return sheet.render(label)


def draw_panel(
    horizontal: Floats,
    vertical: Floats,
    label: str,
    axes: tuple[str, str],
    limits: tuple[float, float],
    *,
    names: Sequence[str] = (),
    whiskers: Sequence[tuple[float, float]] = (),
    joined: bool = False,
) -> Markup:
    """Draw points in a square with a diagonal on which both values are the same.

    The ``names`` of points are shown under the mouse. Points and ``whiskers``, the interval of each vertical value, are
    drawn up to the limits. ``joined`` points are large, with a line between them.
    """
    with open_sheet(float(PANEL), 198.0, left=28.0, right=6.0, top=20.0) as sheet:
        sheet.scale("x", limits, axes[0], 2)
        sheet.scale("y", limits, axes[1], 2)
        sheet.axes.plot(limits, limits, color=colour("soft"), linewidth=1.0, linestyle=(0, (4, 4)))
        x, y = np.clip(horizontal, *limits), np.clip(vertical, *limits)
        for place, interval in zip(x, whiskers, strict=False):
            _draw_whisker(sheet, (place, place), np.clip(interval, *limits), colour("ink"))
        if joined:
            sheet.axes.plot(x, y, color=_series_colour(0), linewidth=2.0)
        few = len(x) <= _NAMED_POINTS
        size = 7.0 if joined else 4.4 if few else 3.0
        _draw_points(sheet, x, y, names if few else (), size=size, opacity=0.6 if few else 0.4)
        return sheet.render(label)


def draw_matrix(
    values: Floats, names: Sequence[str], texts: Sequence[Sequence[str]], label: str, axes: tuple[str, str] = ("", "")
) -> Markup:
    """Draw numbers from -1 to 1, (names, names), as coloured squares: blue above zero, orange below, NaN blank.

    ``texts`` are written into the squares; ``axes`` say what rows and columns are.
    """
    from matplotlib.patches import Rectangle

    left, count = room_for(names, 14), max(1, len(names))
    high, deep = count * min((WIDTH - left - 4) / count, 34.0), 8.0 + 0.72 * left
    with open_sheet(WIDTH, 18 + high + deep, left=left, right=4.0, top=18.0, bottom=deep) as sheet:
        sheet.axes.set_xlim(0.0, count)
        sheet.axes.set_ylim(count, 0.0)
        middles = (np.arange(len(names)) + 0.5).tolist()
        _name_rows(sheet, middles, names, 14)
        rotated = {"rotation": 45, "ha": "right", "rotation_mode": "anchor", "color": colour("ink"), "fontsize": 11.5}
        sheet.axes.set_xticks(middles, [writable(shorten(name, 14)) for name in names], **rotated)
        for row, column in np.ndindex(len(names), len(names)):
            value = float(values[row, column])
            if np.isfinite(value):
                shade = colour("above" if value >= 0 else "below"), _STRONGEST * min(1.0, abs(value))
                style = {"facecolor": shade, "edgecolor": colour("paper"), "linewidth": 1.5}
                box = sheet.axes.add_patch(Rectangle((column, row), 1.0, 1.0, **style))
                sheet.title(box, f"{names[row]}, {names[column]}: {texts[row][column]}")
            if len(names) <= _NUMBERED:
                centred = {"ha": "center", "va": "center", "fontsize": 11.0}
                sheet.axes.text(column + 0.5, row + 0.5, writable(texts[row][column]), **centred)
        for text, x, side in zip(axes, (2.0, WIDTH - 4), ("left", "right"), strict=True):
            if text:
                sheet.write(x, 12.0, text, side=side)
        return sheet.render(label)


def draw_pairs(
    names: Sequence[str], true: Sequence[float], predicted: Sequence[float], limits: tuple[float, float], label: str
) -> Markup:
    """Draw one row per name: its true value as an open circle, the prediction as a dot, and a line between them."""
    middles, total = [17.0 * (place + 0.5) for place in range(len(names))], 17.0 * len(names)
    with open_sheet(WIDTH, total + 26, left=room_for(names, 16), bottom=22.0) as sheet:
        sheet.scale("x", limits)
        sheet.axes.set_ylim(total, 0.0)
        _name_rows(sheet, middles, names, 16)
        for name, y, a, b in zip(names, middles, true, predicted, strict=True):
            title = f"{name}: true {a:.3f}, predicted {b:.3f}"
            (gap,) = sheet.axes.plot([a, b], [y, y], color=colour("soft"), linewidth=1.2)
            sheet.title(gap, title)
            _draw_mark(sheet, None, a, y, title)
            # Smaller, so that the open circle is seen where both are in one place.
            _draw_mark(sheet, 0, b, y, title, scale=0.75)
        return sheet.render(label)


def draw_waveform(heights: Floats, label: str) -> Markup:
    """Draw the outline of audio, with a label that is also shown under the mouse; heights are on [0, 1] over time."""
    with open_sheet(WIDTH, 34.0, left=0.0, right=0.0, top=1.0, bottom=1.0) as sheet:
        sheet.axes.set_xlim(0.0, 1.0)
        sheet.axes.set_ylim(-1.0, 1.0)
        across = np.linspace(0.0, 1.0, len(heights))
        shape = sheet.axes.fill_between(across, -heights, heights, color=colour("series-2"), linewidth=0.0)
        sheet.title(shape, label)
        return sheet.render(label)


def _series_colour(place: int) -> str:
    return colour(f"series-{place % 6}")


def _draw_mark(sheet: Sheet, place: int | None, x: float, y: float, title: str, *, scale: float = 1.0) -> None:
    """Draw the mark of a series: its shape tells it from others also where its colour does not.

    None is a hollow one, of what is no prediction: a published score, or what is true.
    """
    inside, rim, shape, width = colour("paper"), colour("ink"), 0, 1.6
    if place is not None:
        inside, rim, shape, width = _series_colour(place), colour("paper"), place % 4, 1.0
    style = {"marker": _SHAPES[shape], "markersize": scale * _SIZES[shape], "markeredgewidth": width}
    (mark,) = sheet.axes.plot([x], [y], linestyle="none", color=inside, markeredgecolor=rim, **style)
    sheet.title(mark, title)


def _draw_whisker(sheet: Sheet, x: Sequence[float] | Floats, y: Sequence[float] | Floats, own: str) -> None:
    """Draw an interval, with a rim that sets it off from the bar under it, in light and dark."""
    sheet.axes.plot(x, y, color=(colour("paper"), 0.55), linewidth=3.6)
    sheet.axes.plot(x, y, color=own, linewidth=1.6)


def _draw_points(sheet: Sheet, x: Floats, y: Floats, titles: Sequence[str], *, size: float, opacity: float) -> None:
    """Draw round points, each with its title; without titles they are one path, which takes little of a page.

    A point is a line of no length with round ends: many of them take a tenth of what as many circles take.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    ends = np.stack([x, y], axis=1).repeat(2, axis=0)
    style: dict[str, Any] = {"capstyle": "round", "color": (colour("series-0"), opacity), "linewidth": size}
    if titles and len(x):
        points = LineCollection(list(ends.reshape(-1, 2, 2)), **style)
        sheet.axes.add_collection(points, autolim=False)
        sheet.title(points, *titles)
    elif len(x):
        codes = np.tile([Path.MOVETO, Path.LINETO], len(x))
        sheet.axes.add_patch(PathPatch(Path(ends, codes), fill=False, **style))


def _name_rows(
    sheet: Sheet, places: Sequence[float], names: Sequence[str], letters: int, strong: Sequence[bool] = ()
) -> None:
    """Write names left of the axes, shortened to so many letters, those that are strong in bold."""
    shown = [writable(shorten(name, letters)) for name in names]
    sheet.axes.set_yticks(places, shown)
    sheet.axes.tick_params(axis="y", pad=8.0, labelsize=11.5, labelcolor=colour("ink"))
    for place, text in enumerate(sheet.axes.get_yticklabels()):
        text.set_fontweight("bold" if strong and strong[place] else "normal")
        if shown[place] != names[place]:
            sheet.title(text, names[place])
