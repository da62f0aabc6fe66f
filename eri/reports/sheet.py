"""The sheet that a chart is drawn on: one plot by matplotlib, measured in the page's own pixels, written as SVG.

The SVG becomes part of a page: in the page's colours and letters, so that it follows its light and dark, and without
identifiers, so that any number of charts share a page.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from markupsafe import Markup

WIDTH = 360.0
"""Pixels of a chart at which its text has the size of the page's small print: about the width of a phone."""

DASHES = ("solid", (0, (7, 4)), (0, (2, 4)), (0, (10, 3, 2, 3)))
"""Strokes of series, so that colour is not all that tells them apart."""

_CHARACTER = 6.6  # pixels of a usual character: the page's font is not the one that matplotlib measures
_PROPERTIES = ("ink", "soft", "grid", "paper", "above", "below", *(f"series-{place}" for place in range(6)))
_COLOURS = {f"#0e{place:02x}e0": f"var(--{name})" for place, name in enumerate(_PROPERTIES)}
_SENTINELS = dict(zip(_PROPERTIES, _COLOURS, strict=True))
_DECIMALS = re.compile(r"-?\d+\.\d+")
_UNWRITABLE = re.compile("[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DOTS_PER_INCH = 72
_SMALL, _TEXT = 11.0, 11.5
_BEHIND = 0.6


def colour(name: str) -> str:
    """Return a colour that stands for a custom property of the page, such as ``ink`` or ``series-0``."""
    return _SENTINELS[name]


def writable(text: str) -> str:
    r"""Return a text in one line, with what XML cannot hold replaced.

    >>> writable("a\n\x00b")
    'a �b'
    """
    return _UNWRITABLE.sub("\ufffd", " ".join(text.split()))


_SETTINGS = {
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


class Sheet:
    """A chart while it is drawn, on matplotlib's ``axes`` in the colours of :func:`colour`; see :func:`open_sheet`."""

    def __init__(self, width: float, height: float, left: float, right: float, top: float, bottom: float) -> None:
        from matplotlib.figure import Figure

        self._width, self._height = width, height
        self._figure: Any = Figure((width / _DOTS_PER_INCH, height / _DOTS_PER_INCH), dpi=_DOTS_PER_INCH)
        inside = ((width - left - right) / width, (height - top - bottom) / height)
        self.axes: Any = self._figure.add_axes((left / width, bottom / height, *inside))
        self.axes.patch.set_visible(False)
        self._figure.patch.set_visible(False)
        self.axes.set(xticks=[], yticks=[])
        self._titles: dict[str, tuple[str, ...]] = {}

    def scale(
        self, axis: str, limits: tuple[float, float], title: str = "", count: int = 5, *, whole: bool = False
    ) -> None:
        """Lay about so many round values, or ``whole`` numbers, and faint lines along the axis ``x`` or ``y``.

        The title goes under the horizontal axis and over the vertical one.
        """
        from matplotlib.ticker import MaxNLocator, ScalarFormatter

        own = self.axes.xaxis if axis == "x" else self.axes.yaxis
        self.axes.set(**{f"{axis}lim": limits})
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
        return _embed(written.getvalue(), label, self._titles)


@contextmanager
def open_sheet(
    width: float, height: float, *, left: float = 4.0, right: float = 12.0, top: float = 4.0, bottom: float = 36.0
) -> Iterator[Sheet]:
    """Open a sheet to draw on and to render within the block: the settings of matplotlib hold inside it only."""
    from matplotlib import rc_context

    with rc_context(_SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # which only browsers have, such as emoji
        yield Sheet(width, height, left, right, top, bottom)


def spanning(values: Iterable[float | None], *, keep: Sequence[float] = ()) -> tuple[float, float]:
    """Return the range of finite values, with some that must lie in it, and never of no width.

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
    return 20.0 + _CHARACTER * max((min(len(name), letters) for name in names), default=0)


def _embed(svg: str, label: str, titles: Mapping[str, Sequence[str]]) -> Markup:
    """Return what matplotlib wrote as an element of a page, with a label for screen readers.

    It has no identifier: clip paths go, and marks that matplotlib defines once are written where they are used.
    ``titles`` are shown under the mouse, by the identifier of a group: one for all of it, or one for each shape in it.
    """
    root = ElementTree.fromstring(svg)
    for one in root.iter():
        one.tag = one.tag.rpartition("}")[2]
        one.attrib = {name.rpartition("}")[2]: value for name, value in one.attrib.items()}
        one.tail = None
        if one.tag != "text":
            one.text = None
    for part in [child for child in root if child.tag in ("metadata", "defs")]:
        root.remove(part)
    _write_out_marks(root)
    for one in root.iter():
        _restyle(one)
    for one in list(root.iter()):
        _add_titles(one, titles.get(one.attrib.pop("id", ""), ()))
    _flatten(root)
    body = "".join(ElementTree.tostring(child, encoding="unicode") for child in root)
    frame = Markup('<svg viewBox="{}" role="img" aria-label="{}">').format(root.attrib["viewBox"], writable(label))
    return frame + Markup(body) + Markup("</svg>")


def _write_out_marks(root: Element) -> None:
    """Put the shape of a mark in the place of each reference to it."""
    shapes = {one.attrib["id"]: one.attrib["d"] for group in root.iter("defs") for one in group.iter("path")}
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == "defs":
                parent.remove(child)
            elif child.tag == "use":
                x, y = child.attrib.pop("x", "0"), child.attrib.pop("y", "0")
                child.tag = "path"
                child.attrib |= {"d": shapes[child.attrib.pop("href")[1:]], "transform": f"translate({x} {y})"}


def _restyle(one: Element) -> None:
    """Use the page's colours and font, and whole hundredths of a pixel, which is finer than any screen shows."""
    one.attrib.pop("clip-path", None)
    if one.attrib.get("transform", "").startswith("rotate(-0 "):
        del one.attrib["transform"]
    for name in {"d", "x", "y", "transform"} & set(one.attrib):
        one.attrib[name] = _DECIMALS.sub(_round, " ".join(one.attrib[name].split()))
    if "style" in one.attrib:
        settings = (setting.split(": ", 1) for setting in one.attrib["style"].split("; "))
        kept = [
            f"{name}:{_COLOURS.get(value, value)}"
            for name, value in settings
            if name not in ("font-family", "stroke-dashoffset")
        ]
        one.attrib["style"] = ";".join(kept)


def _round(found: re.Match[str]) -> str:
    text = f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _add_titles(group: Element, titles: Sequence[str]) -> None:
    shapes = list(group)
    for owner, text in zip([group] if len(titles) == 1 else shapes, titles, strict=False):
        title = Element("title")
        title.text = text
        owner.insert(0, title)
    styles = {shape.attrib.get("style", "") for shape in shapes}
    if len(titles) > 1 and len(styles) == 1:
        group.attrib["style"] = styles.pop()
        for shape in shapes:
            shape.attrib.pop("style", None)


def _flatten(parent: Element) -> None:
    """Dissolve groups that say nothing."""
    kept: list[Element] = []
    for child in list(parent):
        _flatten(child)
        plain = child.tag == "g" and not child.attrib and not any(one.tag == "title" for one in child)
        kept += list(child) if plain else [child]
    parent[:] = kept
