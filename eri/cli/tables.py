"""Tables and lines on the screen; no word of a table is split over lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from textwrap import TextWrapper
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from eri.api.progress import open_console, print_plain

if TYPE_CHECKING:
    from eri.metrics.scoring import Scores


def say(*lines: str) -> None:
    """Print lines as they are, however long."""
    console = open_console()
    for line in lines:
        print_plain(console, line)


def show_table(
    title: str, headers: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()
) -> None:
    """Print a table whose columns ``numbers`` are aligned to the right, without its empty columns.

    Where the screen is too narrow for the longest word of every column, each row becomes a paragraph.
    """
    console = open_console()
    cells = [[cell.encode("utf-8", "replace").decode() for cell in row] for row in rows]
    right = {headers[index] for index in numbers}
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
        table.add_column(escape(header), justify="right" if header in right else "left", width=width)
    for row in cells:
        table.add_row(*map(escape, row))
    console.print(table)


def fit_widths(columns: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Return how wide each column of a table is, so that the table fits and no word is split; None where none does.

    Examples:
        >>> [fit_widths([["name", "a b c d e f"], ["value", "1"]], width) for width in (80, 17, 12)]
        [[11, 5], [5, 5], None]
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
    lines = [row[0] or "–"]
    for header, cell in zip(headers[1:], row[1:], strict=True):
        part = f"{header}: {cell}" if header else cell
        if cell and len(lines) > 1 and len(lines[-1]) + len(part) + 3 <= width:
            lines[-1] += f" · {part}"
        elif cell:
            lines.append(f"    {part}")
    wrapper = TextWrapper(width, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False)
    return list(chain.from_iterable(map(wrapper.wrap, lines)))


def number(value: float | None, digits: int = 3) -> str:
    """Return a score as text; undefined is a dash.

    Examples:
        >>> number(0.40804), number(None)
        ('0.408', '–')
    """
    return "–" if value is None else f"{value:.{digits}f}"


def show_scores(title: str, scores: Scores, more: Sequence[Sequence[str]] = ()) -> None:
    """Print a row for each label or class, and for what sums them up, ``more`` rows, and the confusion of classes."""
    from eri.metrics.recognition import Recognition

    rows = [[line.name, number(line.value), str(line.interval or ""), line.remark] for line in scores.lines()]
    show_table(title, ("", scores.heading, "95 % interval", "remarks"), [*rows, *more], numbers=(1,))
    if isinstance(scores, Recognition):
        names = list(scores.classes)
        counts = [[name, *map(str, row)] for name, row in zip(names, scores.confusion, strict=True)]
        show_table("confusion", ("class ↓ decision →", *names), counts, numbers=range(1, len(names) + 1))
