"""Tables and lines on the screen; no word of a table is split over lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from eri.api.progress import open_console

if TYPE_CHECKING:
    from rich.console import JustifyMethod

    from eri.metrics.bootstrap import Interval
    from eri.metrics.scoring import Scores


def say(*lines: str) -> None:
    """Print lines as they are, however long; what is no UTF-8 becomes a question mark."""
    console = open_console()
    for line in lines:
        shown = line.encode("utf-8", "replace").decode()
        console.print(escape(shown), soft_wrap=True, highlight=False)


def show_table(
    title: str, headers: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()
) -> None:
    """Print a table whose columns ``numbers`` are aligned to the right.

    Where the screen is too narrow for the longest word of every column, each row becomes a paragraph.
    """
    console = open_console()
    cells = [[cell.encode("utf-8", "replace").decode() for cell in row] for row in rows]
    right = {headers[index] for index in numbers}
    # An empty column says nothing.
    if kept := [index for index in range(len(headers)) if any(row[index] for row in cells)]:
        headers, cells = [headers[index] for index in kept], [[row[index] for index in kept] for row in cells]
    columns = [[header, *(row[index] for row in cells)] for index, header in enumerate(headers)]
    widths = fit_widths(columns, console.width)
    if widths is None:
        say(title, *(line for row in cells for line in _paragraph(headers, row, console.width)))
        return
    console.print(f"[bold]{escape(title)}[/bold]", soft_wrap=True, highlight=False)
    table = Table()
    for header, width in zip(headers, widths, strict=True):
        side: JustifyMethod = "right" if header in right else "left"
        table.add_column(escape(header), justify=side, width=width)
    for row in cells:
        table.add_row(*map(escape, row))
    console.print(table)


def fit_widths(columns: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return how wide each column of a table is, so that the table fits and no word is split; None where none does.

    Examples:
        >>> fit_widths([["name", "a b c d e f"], ["value", "1"]], 80)
        [11, 5]
        >>> fit_widths([["name", "a b c d e f"], ["value", "1"]], 17)
        [5, 5]
        >>> fit_widths([["name", "a b c d e f"], ["value", "1"]], 12) is None
        True
    """
    from rich.cells import cell_len

    least = [max(cell_len(word) for cell in column for word in (cell.split() or [""])) for column in columns]
    most = [max(map(cell_len, column)) for column in columns]
    room = width - (3 * len(columns) + 1) - sum(least)
    if room < 0:
        return None
    chosen = list(least)
    for index in sorted(range(len(columns)), key=lambda place: most[place] - least[place]):
        # Narrow columns take what they need first, and wide ones share what is left.
        waiting = sum(wide > narrow for wide, narrow in zip(most, chosen, strict=True))
        grown = min(most[index] - least[index], room // max(waiting, 1))
        chosen[index] += grown
        room -= grown
    return chosen


def _paragraph(headers: Sequence[str], row: Sequence[str], width: int) -> list[str]:
    first, *rest = row
    lines = [first or "–"]
    for header, cell in zip(headers[1:], rest, strict=True):
        part = f"{header}: {cell}" if header else cell
        if cell and len(lines) > 1 and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f" · {part}"
        elif cell:
            lines.append(f"    {part}")
    return [wrapped for line in lines for wrapped in _wrap(line, width)]


def _wrap(line: str, width: int) -> list[str]:
    return wrap(line, width, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False)


def number(value: float | None, digits: int = 3) -> str:
    """Return a score as text; undefined is a dash.

    Examples:
        >>> number(0.40804), number(None)
        ('0.408', '–')
    """
    return "–" if value is None else f"{value:.{digits}f}"


def interval_text(interval: Interval | None) -> str:
    """Return an interval as text; none is empty."""
    return "" if interval is None else str(interval)


def score_headers(scores: Scores) -> tuple[str, ...]:
    """Return the headers of the columns of :func:`score_rows`."""
    return "", scores.heading, "95 % interval", "remarks"


def score_rows(scores: Scores) -> list[list[str]]:
    """Return a row for each label or class, and for what sums them up."""
    return [[line.name, number(line.value), interval_text(line.interval), line.remark] for line in scores.lines()]


def show_confusion(scores: Scores) -> None:
    """Print the confusion matrix of recognised classes; intensities have none."""
    from eri.metrics.recognition import Recognition

    if isinstance(scores, Recognition):
        names = list(scores.classes)
        rows = [[name, *map(str, counts)] for name, counts in zip(names, scores.confusion, strict=True)]
        show_table("confusion", ("class ↓ decision →", *names), rows, numbers=range(1, len(names) + 1))
