"""What matplotlib writes as SVG, made part of a page: in the page's colours and letters, without identifiers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from markupsafe import Markup

_PROPERTIES = ("ink", "soft", "grid", "paper", "above", "below", *(f"series-{place}" for place in range(6)))
_COLOURS = MappingProxyType({f"#0e{place:02x}e0": f"var(--{name})" for place, name in enumerate(_PROPERTIES)})
_SENTINELS = MappingProxyType(dict(zip(_PROPERTIES, _COLOURS, strict=True)))
_OF_THE_PAGE = frozenset({"font-family", "stroke-dashoffset"})
_PLACED = ("d", "x", "y", "transform")
_DECIMALS = re.compile(r"-?\d+\.\d+")
_UNWRITABLE = re.compile("[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def colour(name: str) -> str:
    """Return a colour that stands for one of the page's custom properties until it is known which page that is.

    Args:
        name: Such as ``ink`` or ``series-0``.
    """
    return _SENTINELS[name]


def writable(text: str) -> str:
    r"""Return a text in one line, with what XML cannot hold replaced.

    Examples:
        >>> writable("a\n\x00b")
        'a �b'
    """
    return _UNWRITABLE.sub("\ufffd", " ".join(text.split()))


def embed(svg: str, label: str, titles: Mapping[str, Sequence[str]]) -> Markup:
    """Return a picture as an element of a page.

    It has no identifier, so that any number of pictures stand on one page: clip paths go, and marks that matplotlib
    defines once are written where they are used.

    Args:
        svg: As matplotlib writes it.
        label: What a screen reader calls it.
        titles: What to show under the mouse, by the identifier of a group: one title for all of it, or one for each
            shape in it.
    """
    root = ElementTree.fromstring(svg)
    _drop_namespaces(root)
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


def _drop_namespaces(root: Element) -> None:
    for one in root.iter():
        one.tag = one.tag.rpartition("}")[2]
        one.attrib = {name.rpartition("}")[2]: value for name, value in one.attrib.items()}
        one.tail = None
        if one.tag != "text":
            one.text = None


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
    for name in _PLACED:
        if name in one.attrib:
            one.attrib[name] = _DECIMALS.sub(_round, " ".join(one.attrib[name].split()))
    if "style" in one.attrib:
        settings = (setting.split(": ", 1) for setting in one.attrib["style"].split("; "))
        kept = [f"{name}:{_COLOURS.get(value, value)}" for name, value in settings if name not in _OF_THE_PAGE]
        one.attrib["style"] = ";".join(kept)


def _round(found: re.Match[str]) -> str:
    text = f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _add_titles(group: Element, titles: Sequence[str]) -> None:
    shapes = list(group)
    owners = [group] if len(titles) == 1 else shapes
    for owner, text in zip(owners, titles, strict=False):
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
