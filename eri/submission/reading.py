"""Reading the raw bytes of a submission into cells, whatever they are, and noting what is odd about them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eri.data.text import SEPARATOR_NAMES, decode, guess_separator
from eri.submission.findings import Code, Findings

_LINE_END = re.compile(r"\r\n|\n|\r")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMALS = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Size:
    """The most that a submission can hold, in bytes and in lines."""

    bytes: int
    lines: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank.

    Attributes:
        number: 1-based in the file.
        text: Without its end.
    """

    number: int
    text: str


def read_lines(file: Path, most: Size, findings: Findings) -> list[Line]:
    """Return the lines of a file that are not blank.

    Args:
        file: The file; its bytes are judged as they are.
        most: A larger file is not judged further.
        findings: Where it is noted that the file cannot be read, is empty, of another encoding, has other line ends or
            blank lines.

    Returns:
        No line where the file cannot be judged further; otherwise as many as can be made out.
    """
    data = _read_bytes(file, most, findings)
    if data is None:
        return []
    decoded = decode(data)
    match decoded.encoding:
        case "binary":
            findings.add(None, Code.BINARY, "is not a text file; give the CSV file")
            return []
        case "utf-16":
            findings.add(None, Code.ENCODING, "is encoded as UTF-16; save it as UTF-8")
        case "unknown":
            findings.add(decoded.line, Code.ENCODING, "is not UTF-8 (Latin-1 or Windows-1252?); save the file as UTF-8")
        case "utf-8-bom":
            findings.add(1, Code.BYTE_ORDER_MARK, "begins with a byte-order mark; save it as UTF-8 without one")
    if not decoded.text.strip():
        findings.add(None, Code.EMPTY, "is empty; write the submission again")
        return []
    first_return = decoded.text.find("\r")
    if first_return >= 0:
        line = len(_LINE_END.findall(decoded.text[:first_return])) + 1
        findings.add(line, Code.LINE_ENDS, "ends with a carriage return; save the file with Unix line ends", "warning")
    return list(_not_blank(decoded.text, findings))


def _read_bytes(file: Path, most: Size, findings: Findings) -> bytes | None:
    try:
        if not file.is_file():
            there = "is a folder or device" if file.exists() else "is not there"
            findings.add(None, Code.UNREADABLE, f"{there}; give the path of the CSV file")
            return None
        size = file.stat().st_size
        if size > most.bytes:
            _note_size(f"{size:,} bytes", most.bytes, findings)
            return None
        data = file.read_bytes()
    except OSError as error:
        findings.add(None, Code.UNREADABLE, f"cannot be read: {error.strerror}")
        return None
    lines = data.count(b"\n") + data.count(b"\r")
    if lines > most.lines:
        _note_size(f"{lines:,} line ends", most.lines, findings)
        return None
    return data


def _note_size(size: str, most: int, findings: Findings) -> None:
    message = f"has {size}, and no submission for this data set has more than {most:,}; nothing else was judged. "
    findings.add(None, Code.TOO_LARGE, message + "Give the CSV file of predictions")


def _not_blank(text: str, findings: Findings) -> Iterator[Line]:
    texts = _LINE_END.split(text)
    if not texts[-1]:
        texts.pop()
    last = max(number for number, line in enumerate(texts, 1) if line.strip())
    for number, line in enumerate(texts[:last], 1):
        if line.strip():
            yield Line(number, line)
        else:
            findings.add(number, Code.BLANK_LINE, "is blank; remove it", "warning")
    if last < len(texts):
        findings.add(last + 1, Code.BLANK_LINE, f"{len(texts) - last} blank at the end; remove them", "warning")


class CellSplitter:
    """Splits lines into cells by the header's separator, and sees through the wrong ones.

    Args:
        header: The first line of the file.
        findings: Where wrong separators and quotes are noted.
    """

    def __init__(self, header: Line, findings: Findings) -> None:
        self._findings = findings
        self._separator = guess_separator(header.text)
        self._quoted = False
        if self._separator != ",":
            name = SEPARATOR_NAMES[self._separator]
            findings.add(header.number, Code.SEPARATOR, f"cells are separated by {name}; use commas")

    def header(self, line: Line) -> list[str]:
        """Return the cells of the header."""
        return self._split(line, self._separator)

    def row(self, line: Line, width: int) -> list[str]:
        """Return the cells of a row that should have ``width`` of them.

        Where it has not, but would have with another separator or with decimal points for commas, that is noted and
        the cells are what was meant.
        """
        cells = self._split(line, self._separator)
        if len(cells) == width:
            return cells
        for separator in (",", *SEPARATOR_NAMES):
            others = self._split(line, separator)
            if separator != self._separator and len(others) == width:
                name = SEPARATOR_NAMES.get(separator, "commas")
                self._findings.add(line.number, Code.SEPARATOR, f"cells are separated by {name}; use commas everywhere")
                return others
        merged = _merge_decimals(cells)
        if len(merged) == width:
            self._findings.add(line.number, Code.DECIMAL_COMMA, "decimals are written with a comma; use a point")
            return merged
        return cells

    def _split(self, line: Line, separator: str) -> list[str]:
        if '"' not in line.text:
            return line.text.split(separator)
        if not self._quoted:
            self._quoted = True
            self._findings.add(line.number, Code.QUOTED, "cells stand in quotes; write them without", "warning")
        try:
            return next(csv.reader([line.text], delimiter=separator))
        except csv.Error:
            return line.text.split(separator)


def _merge_decimals(cells: list[str]) -> list[str]:
    """Join each whole number with the digits after it: ``0`` and ``25`` were ``0,25``."""
    merged = cells[:1]  # the id is never half of a number
    position = 1
    while position < len(cells):
        pair = cells[position : position + 2]
        if len(pair) == 2 and _WHOLE.fullmatch(pair[0]) and _DECIMALS.fullmatch(pair[1]):
            merged.append(".".join(pair))
            position += 2
        else:
            merged.append(pair[0])
            position += 1
    return merged
