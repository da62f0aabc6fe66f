"""The raw bytes of a submission read into lines and cells, whatever they are, with findings on how they are written."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import NamedTuple

from eri.data.tables import SEPARATOR_NAMES, decode, guess_separator
from eri.submission.findings import Code, Findings

_LINE_END = re.compile(r"\r\n|\n|\r")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMALS = re.compile(r"[0-9]+")


class Line(NamedTuple):
    """One line that is not blank: its 1-based number in the file, and its text without the line end."""

    number: int
    text: str


def read_lines(file: Path, findings: Findings, *, most_bytes: int, most_lines: int) -> list[Line]:
    """Return the lines of a file that are not blank; none where the file cannot be read any further.

    Args:
        file: The file; its bytes are checked as they are.
        findings: Get what is wrong with the encoding, the line ends and blank lines, and why a file is not read.
        most_bytes: A larger file is not read.
        most_lines: A file of more lines is not read.
    """
    data = _read_bytes(file, findings, most_bytes, most_lines)
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
    before, carriage_return, _ = decoded.text.partition("\r")
    if carriage_return:
        line = len(_LINE_END.findall(before)) + 1
        findings.add(line, Code.LINE_ENDS, "ends with a carriage return; save the file with Unix line ends", "warning")
    return _drop_blank_lines(decoded.text, findings)


def _read_bytes(file: Path, findings: Findings, most_bytes: int, most_lines: int) -> bytes | None:
    try:
        if not file.is_file():
            problem = "is a folder or device" if file.exists() else "is not there"
            findings.add(None, Code.UNREADABLE, f"{problem}; give the path of the CSV file")
            return None
        size = file.stat().st_size
        data = file.read_bytes() if size <= most_bytes else b""
    except OSError as error:
        findings.add(None, Code.UNREADABLE, f"cannot be read: {error.strerror}")
        return None
    lines = data.count(b"\n") + data.count(b"\r")
    for count, most, unit in ((size, most_bytes, "bytes"), (lines, most_lines, "line ends")):
        if count > most:
            message = f"has {count:,} {unit}, and no submission for this data set has more than {most:,}; "
            message += "nothing else was checked. Give the CSV file of predictions"
            findings.add(None, Code.TOO_LARGE, message)
            return None
    return data


def _drop_blank_lines(text: str, findings: Findings) -> list[Line]:
    texts = _LINE_END.split(text)
    if not texts[-1]:
        texts.pop()
    lines = [Line(number, line) for number, line in enumerate(texts, 1) if line.strip()]
    last = lines[-1].number
    for number in sorted(set(range(1, last)) - {line.number for line in lines}):
        findings.add(number, Code.BLANK_LINE, "is blank; remove it", "warning")
    if last < len(texts):
        findings.add(last + 1, Code.BLANK_LINE, f"{len(texts) - last} blank at the end; remove them", "warning")
    return lines


class CellSplitter:
    """Splits lines into cells by the header's separator, and recognises wrong ones.

    Args:
        header: The first line of the file.
        findings: Get wrong separators and quotes.
    """

    def __init__(self, header: Line, findings: Findings) -> None:
        self._findings = findings
        self._separator = guess_separator(header.text)
        self._quoted = False
        if self._separator != ",":
            name = SEPARATOR_NAMES[self._separator]
            findings.add(header.number, Code.SEPARATOR, f"cells are separated by {name}; use commas")

    def split(self, line: Line, separator: str | None = None) -> list[str]:
        """Return the cells of a line by a separator; None is the header's."""
        separator = separator or self._separator
        if '"' not in line.text:
            return line.text.split(separator)
        if not self._quoted:
            self._quoted = True
            self._findings.add(line.number, Code.QUOTED, "cells are in quotes; write them without", "warning")
        try:
            return next(csv.reader([line.text], delimiter=separator))
        except csv.Error:
            return line.text.split(separator)

    def split_row(self, line: Line, width: int) -> list[str]:
        """Return the cells of a row that should have ``width`` of them.

        Where it has another number, but would have ``width`` with another separator or with decimal points in place of
        commas, that is a finding and the cells are those that were meant.
        """
        cells = self.split(line)
        if len(cells) == width:
            return cells
        for separator in (",", *SEPARATOR_NAMES):
            others = self.split(line, separator)
            if separator != self._separator and len(others) == width:
                name = SEPARATOR_NAMES.get(separator, "commas")
                self._findings.add(line.number, Code.SEPARATOR, f"cells are separated by {name}; use commas everywhere")
                return others
        merged = _merge_decimals(cells)
        if len(merged) == width:
            self._findings.add(line.number, Code.DECIMAL_COMMA, "decimals are written with a comma; use a point")
            return merged
        return cells


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
