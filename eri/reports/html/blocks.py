"""What a page is made of: sections of paragraphs, tables, figures and clips."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup


def shorten(text: str, length: int) -> str:
    """Return a text of at most so many characters, with an ellipsis where it was cut.

    Examples:
        >>> shorten("Empathic-Pain", 8)
        'Empathi…'
    """
    return text if len(text) <= length else text[: length - 1] + "…"


Value = str | int | float | None


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: What is shown.
        value: What the column is sorted by; None sorts last. Text is sorted by what is shown.
        numeric: Whether the column holds numbers.
    """

    text: str
    value: float | None = None
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A table that can be sorted by any column.

    Attributes:
        caption: What it shows.
        columns: The header.
        rows: As many cells in each as there are columns.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    kind: str = field(default="table", init=False)


@dataclass(frozen=True)
class Chart:
    """One picture of a figure.

    Attributes:
        svg: The picture, which scales with its width.
        title: Written over it; empty where the figure has but one.
        width: Pixels that its text is made to be read at.
    """

    svg: Markup
    title: str = ""
    width: int = 360


@dataclass(frozen=True)
class Figure:
    """Charts with their numbers.

    Attributes:
        title: What is shown.
        charts: Side by side where there is room.
        table: The numbers.
        text: How to read it.
        legend: Names of the series, in the order of their colours.
        tables: Further tables of numbers.
    """

    title: str
    charts: tuple[Chart, ...]
    table: Table
    text: str = ""
    legend: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    kind: str = field(default="figure", init=False)


@dataclass(frozen=True)
class Paragraphs:
    """Plain sentences, one a paragraph."""

    lines: tuple[str, ...]
    kind: str = field(default="paragraphs", init=False)


@dataclass(frozen=True)
class Source:
    """A text to be shown letter by letter, such as a config."""

    title: str
    text: str
    kind: str = field(default="source", init=False)


@dataclass(frozen=True)
class ClipCard:
    """One clip to look at.

    Attributes:
        name: Its id.
        remark: What its place is owed to.
        pictures: Data URLs of pictures, each with its time in seconds.
        pictures_note: What is wrong with the pictures; empty where nothing is.
        envelope: Outline of the sound; None where there is none.
        envelope_note: What is wrong with the sound.
        chart: Predicted and true values.
    """

    name: str
    remark: str
    pictures: tuple[tuple[str, float], ...]
    pictures_note: str
    envelope: Markup | None
    envelope_note: str
    chart: Markup


@dataclass(frozen=True)
class Gallery:
    """Clips side by side."""

    title: str
    cards: tuple[ClipCard, ...]
    kind: str = field(default="gallery", init=False)


Block = Table | Figure | Paragraphs | Source | Gallery


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: Its heading.
        blocks: What it holds.
        folded: Begins closed.
    """

    title: str
    blocks: tuple[Block, ...]
    folded: bool = False


@dataclass(frozen=True)
class Headline:
    """A number in large type.

    Attributes:
        name: What it is.
        value: As text.
        text: What stands beside it, such as its interval.
    """

    name: str
    value: str
    text: str = ""


def make_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Value]], digits: int = 3) -> Table:
    """Make a table of plain values.

    Args:
        caption: What it shows.
        columns: The header.
        rows: None is shown as a dash; floats with ``digits`` after the point.
        digits: After the point.

    Examples:
        >>> make_table("scores", ["clip", "error"], [["<b>", 0.12345], ["c", None]]).rows[0][1].text
        '0.123'
    """
    return Table(caption, tuple(columns), tuple(tuple(_cell(value, digits) for value in row) for row in rows))


def number(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """Return a number as text, a dash where there is none.

    Examples:
        >>> number(-0.0001), number(None), number(0.5, 2, signed=True)
        ('0.000', '–', '+0.50')
    """
    if value is None or value != value:
        return "–"
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return re.sub(r"^[-+](0\.?0*)$", r"\1", text)


def _cell(value: Value, digits: int) -> Cell:
    if isinstance(value, str):
        return Cell(value)
    if value is None or value != value:
        return Cell("–", None, True)
    return Cell(number(value, digits) if isinstance(value, float) else f"{value:d}", float(value), True)
