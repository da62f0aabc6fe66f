"""Guessing what a misspelt name was meant to be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like the given one, ignoring case, spaces, hyphens and underscores first.

    Examples:
        >>> closest("Empathic Pain", ["Fear", "Empathic-Pain"])
        'Empathic-Pain'
        >>> closest("Age", ["Fear"]) is None
        True
    """
    plain: dict[str, str] = {}
    for candidate in known:
        plain.setdefault(squeeze(candidate), candidate)
    found = get_close_matches(squeeze(name), list(plain), n=1, cutoff=0.75)
    return plain[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a guess to put after a name that is unknown, or nothing where no known name is like it.

    Examples:
        >>> "no split is named 'tset'" + did_you_mean("tset", ["train", "val", "test"])
        "no split is named 'tset' (did you mean 'test'?)"
        >>> did_you_mean("everything", ["train", "val", "test"])
        ''
    """
    similar = closest(name, known)
    return "" if similar is None else f" (did you mean '{similar}'?)"


def squeeze(name: str) -> str:
    """Return a name without what near-misses differ in: case, spaces, hyphens, underscores."""
    return re.sub(r"[\s_\-]+", "", name).casefold()
