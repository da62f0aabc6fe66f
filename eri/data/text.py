"""Turning the bytes of a table into text, and reporting what is irregular in them."""

from __future__ import annotations

import codecs
import math
import re
from typing import Literal, NamedTuple

Encoding = Literal["utf-8", "utf-8-bom", "utf-16", "unknown", "binary"]
SEPARATOR_NAMES = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_SNIFFED = 1024


class Decoded(NamedTuple):
    """The text of a file, without a byte-order mark, and how it was encoded.

    ``utf-8`` is the only right encoding; ``utf-8-bom`` differs by a mark in front that spreadsheets write. An
    ``unknown`` one is read as Latin-1, so that the rest of the file can still be judged; a ``binary`` file has no text.
    """

    text: str
    encoding: Encoding
    line: int | None = None  # 1-based, of the first byte that is not UTF-8, where the encoding is unknown


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
    even, odd = head[0::2], head[1::2]
    if head and not any(odd) and all(even):
        return "utf-16-le"
    return "utf-16-be" if head and not any(even) and all(odd) else None


def guess_separator(header: str) -> str:
    r"""Return the character that separates the cells of a header line: the commonest of ``,`` ``;`` tab and ``|``.

    Examples:
        >>> guess_separator("File_ID;Split;Fear")
        ';'
    """
    return max((",", *SEPARATOR_NAMES), key=header.count)


def parse_number(cell: str) -> float | None:
    """Return the number of a cell, NaN and infinities too; None for text, and for underscores and digits beyond ASCII.

    Examples:
        >>> parse_number("0.5"), parse_number("nan"), parse_number("0,5"), parse_number("1_0")
        (0.5, nan, None, None)
    """
    return float(cell) if _NUMBER.fullmatch(cell) or _NOT_FINITE.fullmatch(cell) else None


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
