"""Lines over a common axis, and square panels of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from eri.metrics.intensities import Floats
from eri.reports.charts.drawing import DASHES, WIDTH, open_sheet, spanning
from eri.reports.charts.marks import draw_mark, draw_points, draw_whisker, series_colour
from eri.reports.charts.vector import colour

PANEL = 176
_NAMED_POINTS = 400
"""Points that each have a name to be shown under the mouse; more of them are drawn as one path."""


def draw_lines(
    across: Sequence[float],
    lines: Sequence[Sequence[float | None]],
    label: str,
    horizontal: str,
    vertical: str,
    *,
    chosen: float | None = None,
) -> Markup:
    """Draw series over a common axis of whole numbers, such as epochs.

    Args:
        across: Values of the axis, ascending.
        lines: One value each, a series; None leaves a gap.
        label: What a screen reader says.
        horizontal: What ``across`` is.
        vertical: What the values are.
        chosen: A place on the axis to mark.
    """
    low, high = spanning([value for line in lines for value in line])
    room = (high - low) * 0.05
    limits = spanning(across)
    with open_sheet(WIDTH, 208.0, left=44.0, top=22.0) as sheet:
        sheet.scale("x", limits, horizontal, 5, whole=True)
        sheet.scale("y", (low - room, high + room), vertical)
        if chosen is not None:
            sheet.axes.axvline(chosen, color=colour("ink"), linewidth=1.0, linestyle=(0, (2, 3)))
            late = chosen > sum(limits) / 2
            said = {"xytext": (-5 if late else 5, 5), "textcoords": "offset points", "ha": "right" if late else "left"}
            sheet.axes.annotate("chosen", (chosen, high + room), color=colour("soft"), fontsize=11.0, **said)
        for place, line in enumerate(lines):
            values = np.array([np.nan if value is None else value for value in line], dtype=np.float64)
            look = {"color": series_colour(place), "linestyle": DASHES[place % 4], "linewidth": 2.0}
            sheet.axes.plot(across, values, **look)
            known = np.flatnonzero(np.isfinite(values))
            if len(known) == 1:
                draw_mark(sheet, place, across[known[0]], float(values[known[0]]), label)
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

    Args:
        horizontal: (points,).
        vertical: (points,).
        label: What a screen reader says.
        axes: What the two are.
        limits: Of both axes.
        names: Of the points, shown under the mouse.
        whiskers: Interval of each ``vertical``; what leaves the limits is drawn up to them.
        joined: Join the points by a line, and draw them large.
    """
    with open_sheet(float(PANEL), 198.0, left=28.0, right=6.0, top=20.0) as sheet:
        sheet.scale("x", limits, axes[0], 2)
        sheet.scale("y", limits, axes[1], 2)
        sheet.axes.plot(limits, limits, color=colour("soft"), linewidth=1.0, linestyle=(0, (4, 4)))
        x, y = np.clip(horizontal, *limits), np.clip(vertical, *limits)
        for place, interval in zip(x, whiskers, strict=False):
            draw_whisker(sheet, (place, place), np.clip(interval, *limits), colour("ink"))
        if joined:
            sheet.axes.plot(x, y, color=series_colour(0), linewidth=2.0)
        told = names if len(x) <= _NAMED_POINTS else ()
        size = 7.0 if joined else 4.4 if len(x) <= _NAMED_POINTS else 3.0
        draw_points(sheet, x, y, told, size=size, opacity=0.6 if len(x) <= _NAMED_POINTS else 0.4)
        return sheet.render(label)
