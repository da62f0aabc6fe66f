"""Lines over a common axis, and square panels of points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from eri.metrics import Floats
from eri.pages.charts.scales import (
    WIDTH,
    Scale,
    horizontal_axis,
    marker,
    polyline,
    spanning,
    svg,
    vertical_axis,
)
from eri.pages.elements import element

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
    top, bottom, left, right = 22.0, 172.0, 44.0, WIDTH - 12.0
    x = Scale(*spanning(across), left, right)
    low, high = spanning([value for line in lines for value in line])
    room = (high - low) * 0.05
    y = Scale(low - room, high + room, bottom, top)
    parts = [horizontal_axis(x, top, bottom, horizontal, 5, whole=True), vertical_axis(y, left, right, vertical)]
    if chosen is not None:
        parts.append(element("line", x1=x(chosen), x2=x(chosen), y1=top, y2=bottom, class_="chosen"))
        near = x(chosen) > (left + right) / 2
        place = {"x": x(chosen) + (-5 if near else 5), "text_anchor": "end" if near else "start"}
        parts.append(element("text", "chosen", y=top - 5, class_="tick", **place))
    for place_, line in enumerate(lines):
        points = [(x(a), y(b)) for a, b in zip(across, line, strict=True) if b is not None and np.isfinite(b)]
        parts.append(polyline(points, f"line series-{place_ % 6} dash-{place_ % 4}"))
        if len(points) == 1:
            parts.append(marker(place_, *points[0], label))
    return svg(WIDTH, bottom + 36, label, *parts)


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
        whiskers: Interval of each ``vertical``.
        joined: Join the points by a line, and draw them large.
    """
    top, bottom, left, right = 20.0, 162.0, 28.0, PANEL - 6.0
    x, y = Scale(*limits, left, right), Scale(*limits, bottom, top)
    parts = [horizontal_axis(x, top, bottom, axes[0], 2), vertical_axis(y, left, right, axes[1], 2)]
    corners = {"x1": x(limits[0]), "y1": y(limits[0]), "x2": x(limits[1]), "y2": y(limits[1])}
    parts.append(element("line", **corners, class_="diagonal"))
    points = [(x(a), y(b)) for a, b in zip(horizontal, vertical, strict=True)]
    for (a, _), (low, high) in zip(points, whiskers, strict=False):
        parts.append(element("line", x1=a, x2=a, y1=y(low), y2=y(high), class_="whisker"))
    if joined:
        parts.append(polyline(points, "line series-0"))
    if len(points) > _NAMED_POINTS:
        parts.append(element("path", d="".join(f"M{a:.0f} {b:.0f}h0" for a, b in points), class_="dots"))
    else:
        for (a, b), name in zip(points, names or [""] * len(points), strict=True):
            title = [element("title", name)] if name else []
            parts.append(element("circle", *title, cx=a, cy=b, r=3.5 if joined else 2.2, class_="point"))
    return svg(PANEL, bottom + 36, label, *parts)
