"""Pages that open from disk in any browser: one file each, made of sections, which fetches nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from eri.utils.errors import RunError
from eri.utils.files import write_text

Value = str | int | float | None
"""A cell of a table; None and NaN are shown as a dash."""

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Table:
    """A table that can be sorted by any column; floats are shown with ``digits`` decimals."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]
    digits: int = 3


@dataclass(frozen=True)
class Chart:
    """One chart of a figure."""

    svg: Markup  # scales with its width
    title: str = ""  # written over it; empty where the figure has but one
    width: int = 360  # pixels at which its text has the size of small print


@dataclass(frozen=True)
class Figure:
    """Charts, side by side where there is room, with tables of their numbers."""

    title: str
    charts: Sequence[Chart]
    tables: Sequence[Table]
    text: str = ""  # how to read it
    legend: Sequence[str] = ()  # names of the series, in the order of their colours


@dataclass(frozen=True)
class Paragraphs:
    """Plain sentences, one per paragraph."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Source:
    """A text that is shown verbatim, such as a config."""

    title: str
    text: str


@dataclass(frozen=True)
class ClipCard:
    """One clip: its id, why it is shown, frames and audio or what is wrong with them, and its values."""

    name: str
    remark: str
    frames: Sequence[tuple[str, float]]  # images as data URLs, each with its time in seconds
    frames_note: str
    waveform: Markup | None
    waveform_note: str
    chart: Markup  # predicted and true values


@dataclass(frozen=True)
class Gallery:
    """Clips side by side."""

    title: str
    cards: Sequence[ClipCard]


Block = Table | Figure | Paragraphs | Source | Gallery


@dataclass(frozen=True)
class Section:
    """A part of a page, which may begin folded."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False


@dataclass(frozen=True)
class Headline:
    """A number in large type, and the text beside it, such as its interval."""

    name: str
    value: str
    text: str = ""


def shorten(text: str, length: int) -> str:
    """Return a text of at most so many characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as text, a dash where there is none.

    >>> number(-0.0001), number(None), number(7), number(0.5, 2)
    ('0.000', '–', '7', '0.50')
    """
    if value is None or value != value:
        return "–"
    return f"{value:d}" if isinstance(value, int) else re.sub(r"^-(0\.?0*)$", r"\1", f"{value:.{digits}f}")


def data_url(content: bytes, kind: str) -> str:
    """Return bytes as a URL that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def write_page(
    path: Path,
    template: str,
    title: str,
    content: Mapping[str, Any],
    *,
    scripts: Sequence[str] = (),
    hint: str = "Choose another file: -o PAGE.html",
) -> Path:
    """Fill a file of ``templates/`` with what it names, and write it in one step; RunError where that fails.

    The page forbids the browser to fetch anything, and to run any script but ``page.js`` and the further ``scripts``.
    """
    script = "\n".join(_read(name) for name in ("page.js", *scripts))
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _environment().get_template(template)
    text = page.render(content, title=title, style=_read("style.css"), script=script, script_hash=f"sha256-{hashed}")
    try:
        # A name may hold half a surrogate pair, where a file system gave it so; no encoding writes that.
        write_text(path, text.encode("utf-8", "replace").decode("utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error})", hint=hint) from error
    return path


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(_TEMPLATES)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "kind": lambda block: type(block).__name__}
    return environment


@cache
def _read(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
