"""What series are drawn with: marks whose shapes tell them apart, points, rows of names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eri.metrics.intensities import Floats
from eri.reports.charts.drawing import Sheet
from eri.reports.charts.vector import colour, writable
from eri.reports.html.blocks import shorten

_SHAPES = ("o", "s", "^", "D")
_SIZES = (8.0, 7.5, 9.0, 7.0)


def series_colour(place: int) -> str:
    """Return the colour of a series."""
    return colour(f"series-{place % 6}")


def draw_mark(sheet: Sheet, place: int, x: float, y: float, title: str, *, scale: float = 1.0) -> None:
    """Draw the mark of a series: its shape tells it from others also where its colour does not."""
    look = {"marker": _SHAPES[place % 4], "markersize": scale * _SIZES[place % 4], "markeredgewidth": 1.0}
    _draw(sheet, x, y, title, {"color": series_colour(place), "markeredgecolor": colour("paper"), **look})


def draw_hollow(sheet: Sheet, x: float, y: float, title: str) -> None:
    """Draw the mark of what is no prediction: a published figure, or what is true."""
    look = {"marker": "o", "markersize": 8.0, "markeredgewidth": 1.6}
    _draw(sheet, x, y, title, {"color": colour("paper"), "markeredgecolor": colour("ink"), **look})


def _draw(sheet: Sheet, x: float, y: float, title: str, look: dict[str, Any]) -> None:
    (mark,) = sheet.axes.plot([x], [y], linestyle="none", **look)
    sheet.title(mark, title)


def draw_whisker(sheet: Sheet, x: Sequence[float] | Floats, y: Sequence[float] | Floats, own: str) -> None:
    """Draw an interval, with a rim that sets it off from the bar under it, in the light as in the dark."""
    for look in ({"color": (colour("paper"), 0.55), "linewidth": 3.6}, {"color": own, "linewidth": 1.6}):
        sheet.axes.plot(x, y, **look)


def draw_points(sheet: Sheet, x: Floats, y: Floats, titles: Sequence[str], *, size: float, opacity: float) -> None:
    """Draw round points, each with its title; without titles they are one path, which takes little of a page.

    A point is a line of no length with round ends: many of them take a tenth of what as many circles take.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    ends = np.stack([x, y], axis=1).repeat(2, axis=0)
    look: dict[str, Any] = {"capstyle": "round", "color": (colour("series-0"), opacity), "linewidth": size}
    if titles and len(x):
        points = LineCollection(list(ends.reshape(-1, 2, 2)), **look)
        sheet.axes.add_collection(points, autolim=False)
        sheet.title(points, *titles)
    elif len(x):
        codes = np.tile([Path.MOVETO, Path.LINETO], len(x))
        sheet.axes.add_patch(PathPatch(Path(ends, codes), fill=False, **look))


def name_rows(
    sheet: Sheet, places: Sequence[float], names: Sequence[str], letters: int, strong: Sequence[bool] = ()
) -> None:
    """Write names left of the axes, shortened to so many letters; those that are strong, of all or none told, bold."""
    shown = [writable(shorten(name, letters)) for name in names]
    sheet.axes.set_yticks(places, shown)
    sheet.axes.tick_params(axis="y", pad=8.0, labelsize=11.5, labelcolor=colour("ink"))
    for text, short, name, bold in zip(
        sheet.axes.get_yticklabels(), shown, names, strong or [False] * len(names), strict=True
    ):
        text.set_fontweight("bold" if bold else "normal")
        if short != name:
            sheet.title(text, name)
