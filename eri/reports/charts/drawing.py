"""The sheet that charts are drawn on: one plot by matplotlib, measured in the page's own pixels."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from eri.reports.charts.vector import colour, embed, writable

WIDTH = 360.0
"""Pixels of a chart at which its text has the size of the page's small print: about the width of a phone."""

CHARACTER = 6.6
"""Pixels of a usual character of a chart's text: the page's font is not the one that matplotlib measures."""

DASHES = ("solid", (0, (7, 4)), (0, (2, 4)), (0, (10, 3, 2, 3)))
"""Strokes of series, so that colour is not all that tells them apart."""

_DOTS_PER_INCH = 72
_SMALL, _TEXT = 11.0, 11.5
_BEHIND = 0.6

_SETTINGS = MappingProxyType(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "eri",
        "savefig.bbox": "standard",
        "savefig.transparent": True,
        "text.usetex": False,
        "text.parse_math": False,
        "text.color": colour("ink"),
        "font.family": "DejaVu Sans",
        "font.size": _TEXT,
        "axes.axisbelow": True,
        "axes.formatter.limits": (-6, 9),
        "axes.formatter.useoffset": False,
        "axes.labelcolor": colour("soft"),
        "axes.labelsize": _TEXT,
        "axes.xmargin": 0.0,
        "axes.ymargin": 0.0,
        **{f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")},
        **{f"{axis}tick.color": colour("soft") for axis in "xy"},
        **{f"{axis}tick.labelsize": _SMALL for axis in "xy"},
        **{f"{axis}tick.major.size": 0.0 for axis in "xy"},
        **{f"{axis}tick.major.pad": 5.0 for axis in "xy"},
        "grid.color": colour("grid"),
        "grid.linewidth": 1.0,
        "lines.scale_dashes": False,
        "lines.solid_capstyle": "butt",
        "path.simplify": False,
    }
)


class Sheet:
    """A chart while it is drawn; see :func:`open_sheet`.

    Attributes:
        axes: Matplotlib's axes. Draw on them in the colours of :func:`~eri.reports.charts.vector.colour`.

    Args:
        width: Pixels.
        height: Pixels.
        left: Pixels beside the axes.
        right: Pixels beside the axes.
        top: Pixels over the axes.
        bottom: Pixels under the axes.
    """

    def __init__(self, width: float, height: float, *, left: float, right: float, top: float, bottom: float) -> None:
        from matplotlib.figure import Figure

        self._width, self._height = width, height
        self._figure: Any = Figure((width / _DOTS_PER_INCH, height / _DOTS_PER_INCH), dpi=_DOTS_PER_INCH)
        inside = ((width - left - right) / width, (height - top - bottom) / height)
        self.axes: Any = self._figure.add_axes((left / width, bottom / height, *inside))
        self.axes.patch.set_visible(False)
        self._figure.patch.set_visible(False)
        self.axes.set_xticks([])
        self.axes.set_yticks([])
        self._titles: dict[str, tuple[str, ...]] = {}

    def scale(
        self, axis: str, limits: tuple[float, float], title: str = "", count: int = 5, *, whole: bool = False
    ) -> None:
        """Lay round values and faint lines along an axis.

        Args:
            axis: ``x`` or ``y``.
            limits: Of the axis.
            title: What the values are: under the horizontal axis, over the vertical one.
            count: About so many values.
            whole: Only whole numbers, since the axis counts something.
        """
        from matplotlib.ticker import MaxNLocator, ScalarFormatter

        own = self.axes.xaxis if axis == "x" else self.axes.yaxis
        (self.axes.set_xlim if axis == "x" else self.axes.set_ylim)(*limits)
        own.set_major_locator(MaxNLocator(count, steps=(1, 2, 5, 10), integer=whole))
        own.set_major_formatter(ScalarFormatter())
        own.grid(visible=True)
        if limits[0] <= 0 <= limits[1]:
            line = self.axes.axvline if axis == "x" else self.axes.axhline
            line(0.0, color=colour("soft"), linewidth=1.0, zorder=_BEHIND)
        if axis == "x":
            self.axes.set_xlabel(writable(title))
        elif title:
            self.write(2.0, 12.0, title)

    def write(self, x: float, y: float, text: str, *, side: str = "left") -> None:
        """Write small print, at pixels from the sheet's upper left corner."""
        place = (x / self._width, 1.0 - y / self._height)
        self._figure.text(*place, writable(text), ha=side, va="baseline", color=colour("soft"), fontsize=_TEXT)

    def title(self, artist: Any, *titles: str) -> None:
        """Give what was drawn a text to be shown under the mouse, or each of its shapes one."""
        key = f"titled-{len(self._titles)}"
        artist.set_gid(key)
        self._titles[key] = tuple(writable(text) for text in titles)

    def render(self, label: str) -> Markup:
        """Return the chart as an element of a page, which a screen reader calls by its label."""
        written = io.StringIO()
        self._figure.savefig(written, format="svg", metadata={"Date": None})
        return embed(written.getvalue(), label, self._titles)


@contextmanager
def open_sheet(
    width: float,
    height: float,
    *,
    left: float = 4.0,
    right: float = 12.0,
    top: float = 4.0,
    bottom: float = 36.0,
) -> Iterator[Sheet]:
    """Open a sheet to draw on and to render within the block: the settings of matplotlib hold inside it only."""
    from matplotlib import rc_context

    with rc_context(dict(_SETTINGS)), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # which only browsers have, such as emoji
        yield Sheet(width, height, left=left, right=right, top=top, bottom=bottom)


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


def room_for(names: Iterable[str], letters: int) -> float:
    """Return the pixels that names take which are shortened to so many letters, with some space around them."""
    return 20.0 + CHARACTER * max((min(len(name), letters) for name in names), default=0)
