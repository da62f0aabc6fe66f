"""Elements of HTML and SVG whose every text and attribute is escaped."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element with escaped children and attributes.

    Args:
        name: Of the element.
        children: Text, which is escaped, or other elements.
        attributes: An underscore stands for ``-``, one at the end is dropped; None leaves an attribute out. Floats are
            rounded to hundredths, which is finer than any screen shows.

    Examples:
        >>> element("text", "<script>", x=1.23456, text_anchor="end", class_="name")
        Markup('<text x="1.23" text-anchor="end" class="name">&lt;script&gt;</text>')
    """
    written = [
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _attribute(value))
        for key, value in attributes.items()
        if value is not None
    ]
    opened = Markup("<{}{}").format(name, Markup("").join(written))
    return opened + Markup(">") + join(children) + Markup("</{}>").format(name)


def join(parts: Iterable[object]) -> Markup:
    """Return elements and escaped text, one after the other."""
    return Markup("").join(escape(part) for part in parts)


def shorten(text: str, length: int) -> str:
    """Return a text of at most so many characters, with an ellipsis where it was cut.

    Examples:
        >>> shorten("Empathic-Pain", 8)
        'Empathi…'
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def _attribute(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
