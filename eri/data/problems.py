"""Collecting everything that is wrong with a table, so that one error tells it all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eri.errors import DataError

SHOWN = 5


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Attributes:
        title: What is wrong, as a plural that a count in brackets follows.
        way_out: What the user can do about it.
    """

    title: str
    way_out: str


class Problems:
    """The problems of one file, by kind; the first five of each kind are kept, all are counted.

    Args:
        path: The file they are found in.
        unit: What a number counts: the ``line`` of a text file, the ``row`` of a Parquet table.

    Examples:
        >>> problems = Problems(Path("data_info.csv"))
        >>> problems.add(Kind("unknown splits", "Use Train, Val or Test."), 7, "Split is 'Dev'")
        >>> problems.check()
        Traceback (most recent call last):
        eri.errors.DataError: data_info.csv, line 7: Split is 'Dev'
          → Use Train, Val or Test.
    """

    def __init__(self, path: Path, unit: str = "line") -> None:
        self._path = path
        self._unit = unit
        self._kept: dict[Kind, list[str]] = {}
        self._counts: dict[Kind, int] = {}

    def add(self, kind: Kind, line: int, detail: str) -> None:
        """Note one problem on a line."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        kept = self._kept.setdefault(kind, [])
        if len(kept) < SHOWN:
            kept.append(f"{self._unit} {line}: {detail}")

    def check(self) -> None:
        """Raise everything that was noted.

        Raises:
            DataError: At least one problem was noted.
        """
        if not self._counts:
            return
        hint = "\n    ".join(dict.fromkeys(kind.way_out for kind in self._counts))
        if sum(self._counts.values()) == 1:
            ((only,),) = self._kept.values()
            raise DataError(f"{self._path}, {only}", hint=hint)
        parts = []
        for kind, kept in self._kept.items():
            count = self._counts[kind]
            first = f", the first {SHOWN}" if count > SHOWN else ""
            parts.append(f"  {kind.title} ({count}{first}):\n" + "\n".join(f"    {text}" for text in kept))
        raise DataError(f"{self._path}:\n" + "\n".join(parts), hint=hint)
