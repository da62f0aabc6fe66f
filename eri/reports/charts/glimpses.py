"""Small pictures of one clip: what is true of it and what was predicted, and the outline of its sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from eri.metrics.intensities import Floats
from eri.reports.charts.drawing import WIDTH, open_sheet, room_for
from eri.reports.charts.marks import draw_hollow, draw_mark, name_rows
from eri.reports.charts.vector import colour

_ROW = 17.0
_LETTERS = 16
_OUTLINE = 34.0
_INSIDE = 0.75
"""Size of a dot that leaves the open circle to be seen where both are at one place."""


def draw_pairs(
    names: Sequence[str], true: Sequence[float], predicted: Sequence[float], limits: tuple[float, float], label: str
) -> Markup:
    """Draw a row a name: its true value as an open circle, what was predicted as a dot, and a line between them.

    Args:
        names: Written left of the rows.
        true: One a name.
        predicted: One a name.
        limits: Of the axis.
        label: What a screen reader says.
    """
    middles = [_ROW * (place + 0.5) for place in range(len(names))]
    total = _ROW * len(names)
    with open_sheet(WIDTH, total + 26, left=room_for(names, _LETTERS), bottom=22.0) as sheet:
        sheet.scale("x", limits)
        sheet.axes.set_ylim(total, 0.0)
        name_rows(sheet, middles, names, _LETTERS)
        for name, y, a, b in zip(names, middles, true, predicted, strict=True):
            title = f"{name}: true {a:.3f}, predicted {b:.3f}"
            (gap,) = sheet.axes.plot([a, b], [y, y], color=colour("soft"), linewidth=1.2)
            sheet.title(gap, title)
            draw_hollow(sheet, a, y, title)
            draw_mark(sheet, 0, b, y, title, scale=_INSIDE)
        return sheet.render(label)


def draw_outline(heights: Floats, label: str) -> Markup:
    """Draw the outline of a sound.

    Args:
        heights: On [0, 1], from the sound's begin to its end.
        label: What a screen reader says, and what is shown under the mouse.
    """
    with open_sheet(WIDTH, _OUTLINE, left=0.0, right=0.0, top=1.0, bottom=1.0) as sheet:
        sheet.axes.set_xlim(0.0, 1.0)
        sheet.axes.set_ylim(-1.0, 1.0)
        across = np.linspace(0.0, 1.0, len(heights))
        shape = sheet.axes.fill_between(across, -heights, heights, color=colour("series-2"), linewidth=0.0)
        sheet.title(shape, label)
        return sheet.render(label)
