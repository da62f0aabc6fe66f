"""Short tables for `repr` and for notebooks, of results that may have thousands of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

_ROWS = 10
_CHARACTERS = 60


@dataclass(frozen=True)
class Summary:
    """What is shown of a result.

    Attributes:
        title: One line above the table.
        headers: Names of the columns.
        rows: Cells; only the first ten rows are read.
        total: How many rows there are; None where ``rows`` has a length.
        notes: Lines below the table.
    """

    title: str
    headers: Sequence[str] = ()
    rows: Iterable[Sequence[Any]] = ()
    total: int | None = None
    notes: Sequence[str] = ()

    def cells(self) -> list[list[str]]:
        """Return the first rows as short texts."""
        return [[_short(cell) for cell in row] for row in islice(self.rows, _ROWS)]

    def rest(self, shown: int) -> str:
        """Return how many more rows there are, in words; empty where there are none."""
        total = self.total if self.total is not None else len(self.rows) if isinstance(self.rows, Sequence) else shown
        return f"… {total - shown:,} more" if total > shown else ""


class Shown:
    """A result that shows itself as a short table, as text and in notebooks.

    Examples:
        >>> class Numbers(Shown):
        ...     def as_table(self) -> Summary:
        ...         return Summary("Numbers", ("n", "square"), [(n, n * n) for n in range(15_806)])
        >>> print(repr(Numbers()))
        Numbers
        n  square
        0  0
        1  1
        2  4
        3  9
        4  16
        5  25
        6  36
        7  49
        8  64
        9  81
        … 15,796 more
        >>> Numbers()._repr_html_()[:52]
        '<b>Numbers</b><table><tr><th>n</th><th>square</th></'
    """

    def as_table(self) -> Summary:
        """Return what is shown."""
        raise NotImplementedError

    def __repr__(self) -> str:
        shown = self.as_table()
        rows = shown.cells()
        table = [list(map(str, shown.headers)), *rows] if rows else []
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        parts = [shown.title, *lines, shown.rest(len(rows)), *shown.notes]
        return "\n".join(part.rstrip() for part in parts if part)

    def _repr_html_(self) -> str:
        shown = self.as_table()
        rows = shown.cells()

        def row(cells: Iterable[str], tag: str) -> str:
            return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

        table = f"<table>{row(shown.headers, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>"
        notes = "".join(f"<div>{escape(note)}</div>" for note in (shown.rest(len(rows)), *shown.notes) if note)
        return f"<b>{escape(shown.title)}</b>{table if rows else ''}{notes}"


class ShownList(Shown, list[T]):
    """A list of records that shows itself as a table of their attributes.

    Args:
        title: What the records are.
        headers: The attributes that are shown.
        items: The records.
    """

    def __init__(self, title: str, headers: Sequence[str], items: Iterable[T] = ()) -> None:
        super().__init__(items)
        self._title, self._headers = title, headers

    def as_table(self) -> Summary:
        """Return the first records."""
        rows = ([getattr(item, name) for name in self._headers] for item in self)
        return Summary(f"{self._title}: {len(self) or 'none'}", self._headers, rows, len(self))


def _short(value: Any) -> str:
    text = "" if value is None else f"{value:.3f}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"
