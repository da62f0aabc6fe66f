"""A square of numbers whose strength is their colour's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from eri.metrics import Floats
from eri.pages.charts.scales import CHARACTER, WIDTH, svg
from eri.pages.elements import element, shorten

_LETTERS = 14
_STRONGEST = 0.62
"""Opacity of the strongest colour: the number written on it stays readable in light and dark."""


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
    left = 20.0 + CHARACTER * max((min(len(name), _LETTERS) for name in names), default=0)
    side = (WIDTH - left - 4) / max(1, len(names))
    height = min(side, 34.0)
    top = 18.0
    parts = [element("text", down, x=2, y=12, class_="axis")] if down else []
    for row, name in enumerate(names):
        y = top + row * height
        short = shorten(name, _LETTERS)
        parts.append(element("text", short, x=left - 6, y=y + height / 2 + 4, text_anchor="end", class_="name"))
        for column, other in enumerate(names):
            value, x = float(values[row, column]), left + column * side
            title = element("title", f"{name}, {other}: {texts[row][column]}")
            if np.isfinite(value):
                box = {"x": x + 0.75, "y": y + 0.75, "width": side - 1.5, "height": height - 1.5, "rx": 2}
                strength = _STRONGEST * min(1.0, abs(value))
                class_ = "cell above" if value >= 0 else "cell below"
                parts.append(element("rect", title, **box, class_=class_, fill_opacity=strength))
            if len(names) <= 10:
                place = {"x": x + side / 2, "y": y + height / 2 + 4}
                parts.append(element("text", texts[row][column], **place, text_anchor="middle", class_="value"))
    bottom = top + len(names) * height
    for column, name in enumerate(names):
        x = left + (column + 0.5) * side + 3
        turn = f"translate({x:.1f} {bottom + 8:.1f}) rotate(-45)"
        parts.append(element("text", shorten(name, _LETTERS), transform=turn, text_anchor="end", class_="name"))
    if across:
        parts.append(element("text", across, x=WIDTH - 4, y=12, text_anchor="end", class_="axis"))
    deep = 16 + 0.72 * CHARACTER * max((min(len(name), _LETTERS) for name in names), default=0)
    return svg(WIDTH, bottom + deep, label, *parts)
