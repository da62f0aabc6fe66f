"""Collecting everything that is wrong with a table or a folder, so that one error reports it all."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from eri.utils.errors import DataError

SHOWN = 5


class Kind(NamedTuple):
    """A kind of problem: a plural that a count in brackets follows, and what the user can do about it."""

    title: str
    way_out: str
    error: type[DataError] = DataError  # raised where all problems are of this kind


class Problems:
    """The problems of one file or folder by kind, each at a ``unit`` of it; five of a kind are kept, all counted.

    Examples:
        >>> problems = Problems(Path("data_info.csv"))
        >>> problems.add(Kind("unknown splits", "Use Train, Val or Test."), 7, "Split is 'Dev'")
        >>> problems.check()
        Traceback (most recent call last):
        eri.utils.errors.DataError: data_info.csv, line 7: Split is 'Dev'
          → Use Train, Val or Test.
    """

    def __init__(self, path: Path, unit: str = "line") -> None:
        self._path = path
        self._unit = unit
        self._kept: dict[Kind, list[str]] = {}
        self._counts: dict[Kind, int] = {}

    def add(self, kind: Kind, place: int | str, detail: str) -> None:
        """Record one problem at a line, a row, or a path within the folder."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        kept = self._kept.setdefault(kind, [])
        if len(kept) < SHOWN:
            kept.append(f"{self._unit} {place}: {detail}")

    def check(self) -> None:
        """Raise one DataError of all recorded problems, of a narrower type where all of them ask for it."""
        if not self._counts:
            return
        types = {kind.error for kind in self._counts}
        error = types.pop() if len(types) == 1 else DataError
        hint = "\n    ".join(dict.fromkeys(kind.way_out for kind in self._counts))
        if sum(self._counts.values()) == 1:
            ((only,),) = self._kept.values()
            raise error(f"{self._path}, {only}", hint=hint)
        parts = []
        for kind, kept in self._kept.items():
            count = self._counts[kind]
            first = f", the first {SHOWN}" if count > SHOWN else ""
            parts.append(f"  {kind.title} ({count}{first}):\n" + "\n".join(f"    {text}" for text in kept))
        raise error(f"{self._path}:\n" + "\n".join(parts), hint=hint)
