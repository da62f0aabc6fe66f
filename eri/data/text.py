"""Turning the bytes of a table into text, and reporting what is irregular in them."""

from __future__ import annotations

import codecs
import math
import re
from dataclasses import dataclass
from typing import Literal

Encoding = Literal["utf-8", "utf-8-bom", "utf-16", "unknown", "binary"]
SEPARATOR_NAMES = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_SNIFFED = 1024


@dataclass(frozen=True)
class Decoded:
    """The text of a file and how it was encoded.

    Attributes:
        text: The characters, without a byte-order mark. Where the encoding is ``unknown`` it is read as Latin-1, so
            that the rest of the file can still be judged; empty where it is ``binary``.
        encoding: ``utf-8`` is the only right one; ``utf-8-bom`` differs by a mark in front that spreadsheets write.
        line: 1-based line of the first byte that is not UTF-8, where the encoding is ``unknown``.
    """

    text: str
    encoding: Encoding
    line: int | None = None


def decode(data: bytes) -> Decoded:
    """Decode the bytes of a table, whatever they are.

    Examples:
        >>> decode("id,é".encode("utf-16")).encoding, decode("id,é".encode("latin-1")).encoding
        ('utf-16', 'unknown')
    """
    wide = _wide_encoding(data)
    if wide is not None:
        return Decoded(data.decode(wide, errors="replace").lstrip("\ufeff"), "utf-16")
    if b"\0" in data:
        return Decoded("", "binary")
    mark = data.startswith(codecs.BOM_UTF8)
    try:
        return Decoded(data.decode("utf-8-sig"), "utf-8-bom" if mark else "utf-8")
    except UnicodeDecodeError as error:
        start = error.start + (len(codecs.BOM_UTF8) if mark else 0)
        return Decoded(data.decode("latin-1"), "unknown", data.count(b"\n", 0, start) + 1)


def _wide_encoding(data: bytes) -> str | None:
    """Name the UTF-16 flavour: by its mark, or by the zero beside every ASCII character."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    head = data[: min(_SNIFFED, len(data) // 2 * 2)]
    if head and not any(head[1::2]) and all(head[0::2]):
        return "utf-16-le"
    if head and not any(head[0::2]) and all(head[1::2]):
        return "utf-16-be"
    return None


def guess_separator(header: str) -> str:
    r"""Return the character that separates the cells of a header line: the commonest of ``,`` ``;`` tab and ``|``.

    Examples:
        >>> guess_separator("File_ID;Split;Fear")
        ';'
    """
    return max((",", *SEPARATOR_NAMES), key=header.count)


def parse_number(cell: str) -> float | None:
    """Return the number that a cell holds, NaN and infinities included, or None where it is text.

    Stricter than :class:`float`: no underscores, no digits beyond ASCII.

    Examples:
        >>> parse_number("0.5"), parse_number("nan"), parse_number("0,5"), parse_number("1_0")
        (0.5, nan, None, None)
    """
    if _NUMBER.fullmatch(cell) or _NOT_FINITE.fullmatch(cell):
        return float(cell)
    return None


def is_missing(cell: str) -> bool:
    """Say whether a cell stands for 'no value': empty, or a word that spreadsheets and pandas write for it."""
    return cell.lower() in {"", "nan", "na", "n/a", "null", "none"}


def format_number(value: float) -> str:
    """Return the shortest decimal text of a bound, for messages.

    Examples:
        >>> format_number(1.0), format_number(0.5)
        ('1', '0.5')
    """
    return str(int(value)) if math.isfinite(value) and value == int(value) else repr(value)
