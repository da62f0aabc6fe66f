"""A square of numbers whose strength is their colour's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from eri.metrics.intensities import Floats
from eri.reports.charts.drawing import WIDTH, open_sheet, room_for
from eri.reports.charts.marks import name_rows
from eri.reports.charts.vector import colour, writable
from eri.reports.html.blocks import shorten

_LETTERS = 14
_STRONGEST = 0.62
"""Opacity of the strongest colour: the number written on it stays readable in light and dark."""

_MOST_NUMBERS = 10
"""Names up to which the numbers are written into the squares."""


def draw_matrix(
    values: Floats,
    names: Sequence[str],
    texts: Sequence[Sequence[str]],
    label: str,
    *,
    across: str = "",
    down: str = "",
) -> Markup:
    """Draw numbers from -1 to 1 as coloured squares: blue above zero, orange below.

    Args:
        values: (names, names); NaN is left blank.
        names: Of rows and columns.
        texts: What is written into each square.
        label: What a screen reader says.
        across: What the columns are.
        down: What the rows are.
    """
    from matplotlib.patches import Rectangle

    left = room_for(names, _LETTERS)
    count = max(1, len(names))
    high = count * min((WIDTH - left - 4) / count, 34.0)
    deep = 8.0 + 0.72 * left
    with open_sheet(WIDTH, 18 + high + deep, left=left, right=4.0, top=18.0, bottom=deep) as sheet:
        sheet.axes.set_xlim(0.0, count)
        sheet.axes.set_ylim(count, 0.0)
        middles = (np.arange(len(names)) + 0.5).tolist()
        name_rows(sheet, middles, names, _LETTERS)
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor", "color": colour("ink"), "fontsize": 11.5}
        sheet.axes.set_xticks(middles, [writable(shorten(name, _LETTERS)) for name in names], **turned)
        for row, column in np.ndindex(len(names), len(names)):
            value = float(values[row, column])
            if np.isfinite(value):
                shade = colour("above" if value >= 0 else "below"), _STRONGEST * min(1.0, abs(value))
                look = {"facecolor": shade, "edgecolor": colour("paper"), "linewidth": 1.5}
                box = sheet.axes.add_patch(Rectangle((column, row), 1.0, 1.0, **look))
                sheet.title(box, f"{names[row]}, {names[column]}: {texts[row][column]}")
            if len(names) <= _MOST_NUMBERS:
                middle = {"ha": "center", "va": "center", "fontsize": 11.0}
                sheet.axes.text(column + 0.5, row + 0.5, writable(texts[row][column]), **middle)
        if down:
            sheet.write(2.0, 12.0, down)
        if across:
            sheet.write(WIDTH - 4, 12.0, across, side="right")
        return sheet.render(label)
