"""Names as they are written on a page."""

from __future__ import annotations


def shorten(text: str, length: int) -> str:
    """Return a text of at most so many characters, with an ellipsis where it was cut.

    Examples:
        >>> shorten("Empathic-Pain", 8)
        'Empathi…'
    """
    return text if len(text) <= length else text[: length - 1] + "…"
