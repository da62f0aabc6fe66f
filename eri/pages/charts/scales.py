"""Scales, ticks and the frame that charts are drawn in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from eri.pages.elements import element, join

WIDTH = 360
"""Pixels of a chart at which its text has the size of the page's small print: about the width of a phone."""

_STEPS = ((1.0, 1.5), (2.0, 3.5), (5.0, 7.5), (10.0, float("inf")))
"""Round steps between ticks, each for rough ones below its limit."""

CHARACTER = 6.6
"""Pixels of a usual character of a chart's text."""


@dataclass(frozen=True)
class Scale:
    """Maps values to pixels.

    Attributes:
        low: Value at ``start``.
        high: Value at ``end``.
        start: Pixels.
        end: Pixels; may be smaller than ``start``.

    Examples:
        >>> scale = Scale(0.0, 1.0, 100.0, 0.0)
        >>> scale(0.25), scale.ticks(2)
        (75.0, [0.0, 0.5, 1.0])
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; values beyond the scale are drawn at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Return about so many round values on the scale."""
        span = self.high - self.low
        if not span > 0:
            return [self.low]
        step = _round_step(span / max(1, count))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(index * step, 10) for index in range(first, last + 1)]


def spanning(values: Iterable[float | None], *, keep: Sequence[float] = ()) -> tuple[float, float]:
    """Return the range of finite values, with some that must lie in it, and never of no width.

    Examples:
        >>> spanning([0.2, None, float("nan"), 0.4], keep=[0.0]), spanning([])
        ((0.0, 0.4), (0.0, 1.0))
    """
    finite = [*keep, *(value for value in values if value is not None and math.isfinite(value))]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def tick_text(value: float) -> str:
    """Return a tick as short text.

    Examples:
        >>> tick_text(0.5), tick_text(1500.0), tick_text(-0.25)
        ('0.5', '1500', '−0.25')
    """
    return f"{value:.6g}".replace("-", "−")


def svg(width: float, height: float, label: str, *children: object) -> Markup:
    """Return a picture that a screen reader calls by its label."""
    return element("svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label)


def horizontal_axis(
    scale: Scale, top: float, bottom: float, title: str = "", count: int = 4, *, whole: bool = False
) -> Markup:
    """Draw ticks under a plot, with faint lines through it; of numbers that count something only whole ones."""
    parts = []
    for tick in scale.ticks(count):
        if whole and tick != round(tick):
            continue
        x = scale(tick)
        parts.append(element("line", x1=x, x2=x, y1=top, y2=bottom, class_="zero" if tick == 0 else "grid"))
        parts.append(element("text", tick_text(tick), x=x, y=bottom + 14, text_anchor="middle", class_="tick"))
    if title:
        middle = (scale.start + scale.end) / 2
        parts.append(element("text", title, x=middle, y=bottom + 29, text_anchor="middle", class_="axis"))
    return join(parts)


def vertical_axis(scale: Scale, left: float, right: float, title: str = "", count: int = 4) -> Markup:
    """Draw ticks left of a plot, with faint lines through it; the title stands over the plot."""
    parts = []
    for tick in scale.ticks(count):
        y = scale(tick)
        parts.append(element("line", x1=left, x2=right, y1=y, y2=y, class_="zero" if tick == 0 else "grid"))
        parts.append(element("text", tick_text(tick), x=left - 5, y=y + 4, text_anchor="end", class_="tick"))
    if title:
        parts.append(element("text", title, x=2, y=12, class_="axis"))
    return join(parts)


def polyline(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    """Draw a line through points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", points=path, class_=class_)


def marker(series: int, x: float, y: float, title: str, size: float = 4.0) -> Markup:
    """Draw the mark of a series: its shape tells it from others also where its colour does not."""
    named = element("title", title)
    class_ = f"mark series-{series % 6}"
    if series % 4 == 0:
        return element("circle", named, cx=x, cy=y, r=size, class_=class_)
    shapes: dict[int, list[tuple[float, float]]] = {
        1: [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        2: [(0, -1.2), (1.1, 0.9), (-1.1, 0.9)],
        3: [(0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)],
    }
    points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in shapes[series % 4])
    return element("polygon", named, points=points, class_=class_)


def _round_step(rough: float) -> float:
    magnitude = 10.0 ** math.floor(math.log10(rough))
    return magnitude * next(step for step, limit in _STEPS if rough < limit * magnitude)
