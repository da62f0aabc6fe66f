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
    """What is shown of a result: a title, the first ten rows of a table, how many more there are, and notes below."""

    title: str
    headers: Sequence[str] = ()
    rows: Iterable[Sequence[Any]] = ()
    total: int | None = None  # of the rows; None where they have a length
    notes: Sequence[str] = ()

    def texts(self) -> tuple[list[list[str]], list[str]]:
        """Return the first rows as short texts, and the lines below the table."""
        rows = [[_short(cell) for cell in row] for row in islice(self.rows, _ROWS)]
        length = len(self.rows) if isinstance(self.rows, Sequence) else len(rows)
        more = (self.total if self.total is not None else length) - len(rows)
        return rows, [note for note in (f"… {more:,} more" if more > 0 else "", *self.notes) if note]


class Shown:
    """A result that shows itself as a short table, as text and in notebooks.

    Examples:
        >>> class Numbers(Shown):
        ...     def as_table(self) -> Summary:
        ...         return Summary("Numbers", ("n", "square"), [(n, n * n) for n in range(7, 15_806)])
        >>> print(repr(Numbers()))
        Numbers
        n   square
        7   49
        ...
        16  256
        … 15,789 more
        >>> Numbers()._repr_html_()[:52]
        '<b>Numbers</b><table><tr><th>n</th><th>square</th></'
    """

    def as_table(self) -> Summary:
        """Return what is shown."""
        raise NotImplementedError

    def __repr__(self) -> str:
        shown = self.as_table()
        rows, notes = shown.texts()
        table = [list(map(str, shown.headers)), *rows] if rows else []
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        return "\n".join(part.rstrip() for part in (shown.title, *lines, *notes) if part)

    def _repr_html_(self) -> str:
        shown = self.as_table()
        rows, notes = shown.texts()

        def row(cells: Iterable[str], tag: str) -> str:
            return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

        table = f"<table>{row(shown.headers, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>"
        below = "".join(f"<div>{escape(note)}</div>" for note in notes)
        return f"<b>{escape(shown.title)}</b>{table if rows else ''}{below}"


class ShownList(Shown, list[T]):
    """A list of records that shows itself as a table of those of their attributes that ``headers`` names."""

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
