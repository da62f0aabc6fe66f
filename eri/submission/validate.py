"""Validation of any file as a submission: every finding at once, with its line, its code and what to do about it."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple

from eri.data.clips import ClipTable, Split
from eri.data.rows import count_clips, first_ids, normalise_id
from eri.data.tables import SEPARATOR_NAMES, decode, format_number, guess_separator, parse_number
from eri.submission.formats import SubmissionFormat, format_of, ids_to_submit
from eri.utils.errors import DataError
from eri.utils.spelling import closest

Severity = Literal["error", "warning"]

LISTED = 10_000
"""Findings of one code that are listed; further ones are counted only, so that no file floods memory."""

_SPARE_BYTES = 64 * 1024
_BYTES_PER_CELL = 32  # a sign, a point and 17 digits are 19
_SPARE_LINES = 1000
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_LINE_END = re.compile(r"\r\n|\n|\r")
_WHOLE = re.compile(r"[+-]?[0-9]+")


class Code(StrEnum):
    """A kind of finding; the texts are stable, so that scripts can rely on them."""

    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    EMPTY = "empty"
    BINARY = "binary"
    ENCODING = "encoding"
    BYTE_ORDER_MARK = "byte-order-mark"
    LINE_ENDS = "line-ends"
    BLANK_LINE = "blank-line"
    SEPARATOR = "separator"
    QUOTED = "quoted"
    SPACES = "spaces"
    HEADER_MISSING = "header-missing"
    INDEX_COLUMN = "index-column"
    COLUMN_NAME = "column-name"
    COLUMN_MISSING = "column-missing"
    COLUMN_EXTRA = "column-extra"
    COLUMN_ORDER = "column-order"
    RAGGED_ROW = "ragged-row"
    ID_BRACKETS = "id-brackets"
    ID_FORM = "id-form"
    ID_DUPLICATE = "id-duplicate"
    ID_UNKNOWN = "id-unknown"
    ID_SPLIT = "id-split"
    ID_MISSING = "id-missing"
    UNSORTED = "unsorted"
    VALUE_EMPTY = "value-empty"
    VALUE_TEXT = "value-text"
    VALUE_NOT_FINITE = "value-not-finite"
    VALUE_RANGE = "value-range"
    DECIMAL_COMMA = "decimal-comma"
    CONSTANT_COLUMN = "constant-column"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a submission file.

    Attributes:
        line: 1-based line of the file; None where it concerns the file as a whole.
        code: Its kind.
        message: What is wrong and what to do about it.
        severity: The organisers' reader would refuse, misread or fail to score an ``error``; a ``warning`` deviates
            from the format in a way that the reader accepts.
    """

    line: int | None
    code: Code
    message: str
    severity: Severity = "error"


def validate_submission(
    file: Path,
    table: ClipTable,
    *,
    split: Split = "test",
    bracketed: bool | None = None,
    format: str | None = None,  # noqa: A002  # the option's name
) -> list[Finding]:
    """Check any file by the rules of the table's task, from its raw bytes; a large or binary one is not parsed.

    Every clip of the split must have a row, and no other clip. The format and its brackets are those of
    :func:`~eri.submission.formats.format_of`. Return everything that is wrong: what concerns the whole file first, then
    line by line; nothing is a file that the organisers accept.

    Raises SubmissionError where the data set has no clips in the split.
    """
    rules = format_of(table, bracketed, format)
    findings = _Findings()
    rows = _Rows(table, split, rules, findings)
    most_bytes = _SPARE_BYTES + _BYTES_PER_CELL * len(table) * len(rules.columns)
    lines = _read_lines(Path(file), findings, most_bytes, _SPARE_LINES + 4 * len(table))
    if lines:
        cells = _Cells(lines[0], findings)
        right = _Header({name: position for position, name in enumerate(rules.columns)}, len(rules.columns))
        header = _check_header(cells.split(*lines[0]), lines[0][0], rules, findings)
        if header is None:
            header = right
        else:
            del lines[0]
        if lines and len(cells.split(*lines[0])) == right.width != header.width:
            header = right  # the header lacks or adds a cell, the rows below it do not
        rows.check(lines, cells, header)
    return findings.sorted()


class _Findings:
    """Collects findings: of each code and severity the first :data:`LISTED` are listed and the rest counted."""

    def __init__(self) -> None:
        self._listed: list[Finding] = []
        self._counts: Counter[tuple[Code, Severity]] = Counter()

    def add(self, line: int | None, code: Code, message: str, severity: Severity = "error") -> None:
        """Add one finding."""
        self._counts[code, severity] += 1
        if self._counts[code, severity] <= LISTED:
            self._listed.append(Finding(line, code, message, severity))

    def sorted(self) -> list[Finding]:
        """Return all findings: those of the whole file first, then by line, each line in the order found."""
        more = [
            Finding(None, code, f"{count - LISTED} more findings of this kind are not listed", severity)
            for (code, severity), count in self._counts.items()
            if count > LISTED
        ]
        return sorted([*self._listed, *more], key=lambda finding: finding.line or 0)


# One line that is not blank: its 1-based number in the file, and its text without the line end.
_Line = tuple[int, str]


def _read_lines(file: Path, findings: _Findings, most_bytes: int, most_lines: int) -> list[_Line]:
    """Return the lines of a file that are not blank; none where the file cannot be read any further."""
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
    texts = _LINE_END.split(decoded.text)
    if not texts[-1]:
        texts.pop()
    lines = [(number, line) for number, line in enumerate(texts, 1) if line.strip()]
    last = lines[-1][0]
    for number in sorted(set(range(1, last)) - {number for number, _ in lines}):
        findings.add(number, Code.BLANK_LINE, "is blank; remove it", "warning")
    if last < len(texts):
        findings.add(last + 1, Code.BLANK_LINE, f"{len(texts) - last} blank at the end; remove them", "warning")
    return lines


def _read_bytes(file: Path, findings: _Findings, most_bytes: int, most_lines: int) -> bytes | None:
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


class _Cells:
    """Splits lines into cells by the separator of the file's first line, and recognises wrong ones."""

    def __init__(self, header: _Line, findings: _Findings) -> None:
        self._add = findings.add
        self._separator = guess_separator(header[1])
        self._quoted = False
        if self._separator != ",":
            name = SEPARATOR_NAMES[self._separator]
            self._add(header[0], Code.SEPARATOR, f"cells are separated by {name}; use commas")

    def split(self, line: int, text: str, separator: str | None = None) -> list[str]:
        """Return the cells of a line by a separator; None is the header's."""
        separator = separator or self._separator
        if '"' not in text:
            return text.split(separator)
        if not self._quoted:
            self._quoted = True
            self._add(line, Code.QUOTED, "cells are in quotes; write them without", "warning")
        try:
            return next(csv.reader([text], delimiter=separator))
        except csv.Error:
            return text.split(separator)

    def split_row(self, line: int, text: str, width: int) -> list[str]:
        """Return the cells of a row that should have ``width`` of them.

        Where it has another number, but would have ``width`` with another separator or with decimal points in place of
        commas, that is a finding and the cells are those that were meant.
        """
        cells = self.split(line, text)
        if len(cells) == width:
            return cells
        for separator in (",", *SEPARATOR_NAMES):
            others = self.split(line, text, separator)
            if separator != self._separator and len(others) == width:
                name = SEPARATOR_NAMES.get(separator, "commas")
                self._add(line, Code.SEPARATOR, f"cells are separated by {name}; use commas everywhere")
                return others
        # Each whole number after the id is joined with the digits after it: ``0`` and ``25`` were ``0,25``.
        merged, rest = cells[:1], cells[1:]
        while rest:
            joined = len(rest) > 1 and _WHOLE.fullmatch(rest[0]) and re.fullmatch("[0-9]+", rest[1])
            merged.append(".".join(rest[: 2 if joined else 1]))
            del rest[: 2 if joined else 1]
        if len(merged) == width:
            self._add(line, Code.DECIMAL_COMMA, "decimals are written with a comma; use a point")
            return merged
        return cells


class _Header(NamedTuple):
    """The position of each expected column that was recognised, and the number of cells in a row."""

    positions: Mapping[str, int]
    width: int


def _check_header(cells: Sequence[str], line: int, rules: SubmissionFormat, findings: _Findings) -> _Header | None:
    """Find every way in which a header differs from the rules; return where the columns are, None for no header."""
    expected = rules.columns
    if _is_row(cells, rules):
        findings.add(line, Code.HEADER_MISSING, f"is a row; the first line must be the header {','.join(expected)}")
        return None
    names = [cell.strip() for cell in cells]
    for cell, name in zip(cells, names, strict=True):
        if cell != name:
            findings.add(line, Code.SPACES, f"column '{cell}' has outer spaces; remove them")
    positions = {name: names.index(name) for name in expected if name in names}
    # The columns still missing may have similar names, or other ones in the same place.
    free = {position: name for position, name in enumerate(names) if position not in positions.values() and name}
    for place, wanted in enumerate(expected):
        if wanted in positions:
            continue
        similar = closest(wanted, free.values())
        found = next((position for position, name in free.items() if name == similar), None)
        if found is None and len(names) == len(expected) and place in free:
            found = place
        if found is not None:
            findings.add(line, Code.COLUMN_NAME, f"column '{free.pop(found)}' must be named exactly '{wanted}'")
            positions[wanted] = found
    for name in expected:
        if name not in positions:
            findings.add(line, Code.COLUMN_MISSING, f"column '{name}' is missing; add it")
    for position in sorted(set(range(len(names))) - set(positions.values())):
        name = names[position]
        if name.lower() in ("", "index", "unnamed: 0") and position == 0:
            message = "the first column is a row index; write the file without it (index=False)"
            findings.add(line, Code.INDEX_COLUMN, message)
        else:
            problem = "is duplicated; remove one" if name in expected else "does not belong here; remove it"
            findings.add(line, Code.COLUMN_EXTRA, f"column '{name}' {problem}")
    order = [positions[name] for name in expected if name in positions]
    if order != sorted(order):
        findings.add(line, Code.COLUMN_ORDER, f"columns are in another order; write {','.join(expected)}")
    return _Header(positions, len(cells))


def _is_row(cells: Sequence[str], rules: SubmissionFormat) -> bool:
    if len(cells) < 2 or cells[0].strip() == rules.id_column:
        return False
    try:
        normalise_id(cells[0], digits=rules.digits)
    except DataError:
        return False
    return all(parse_number(cell.strip()) is not None for cell in cells[1:])


class _Rows:
    """Checks the rows of a file in their order: ids against the clips of the split, values against the task."""

    def __init__(self, table: ClipTable, split: Split, rules: SubmissionFormat, findings: _Findings) -> None:
        self._table, self._split, self._rules, self._add = table, split, rules, findings.add
        self._wanted = ids_to_submit(table, split, rules)
        self._lines: dict[str, int] = {}
        self._previous = ""
        self._values: dict[str, set[float]] = {}  # up to two different ones of each column
        self._rows = 0

    def check(self, lines: Sequence[_Line], splitter: _Cells, header: _Header) -> None:
        id_position = header.positions.get(self._rules.id_column)
        self._values = {name: set() for name in self._rules.labels if name in header.positions}
        for line, text in lines:
            cells = splitter.split_row(line, text, header.width)
            if len(cells) != header.width:
                message = f"has {len(cells)} cells, must have {header.width}; give every column one cell"
                self._add(line, Code.RAGGED_ROW, message)
            if id_position is not None and id_position < len(cells):
                self._check_id(cells[id_position], line)
            if len(cells) == header.width:
                self._check_values({name: cells[header.positions[name]] for name in self._values}, line)
        missing = [clip_id for clip_id in self._wanted if clip_id not in self._lines]
        if missing and id_position is not None:
            message = f"{count_clips(missing)} of the {self._split} split without a row: {first_ids(missing)}; add them"
            self._add(None, Code.ID_MISSING, message)
        for name, values in self._values.items():
            if self._rows > 1 and len(values) == 1:
                message = f"column '{name}' is {format_number(*values)} in every row: its Pearson correlation, and "
                message += "with it the official score, is not a number; predict something that varies"
                self._add(None, Code.CONSTANT_COLUMN, message)

    def _check_id(self, cell: str, line: int) -> None:
        rules, text = self._rules, cell.strip()
        if text != cell:
            self._add(line, Code.SPACES, f"id '{cell}' has outer spaces; remove them")
        bracketed = text.startswith("[") and text.endswith("]")
        bare = text[1:-1] if bracketed else text
        try:
            clip_id = normalise_id(bare, digits=rules.digits)
        except DataError:
            example = rules.id_cell(self._wanted[0] if rules.digits is None else "42".zfill(rules.digits))
            self._add(line, Code.ID_FORM, f"'{text}' is not an id; write ids like {example}")
            return
        if bare != clip_id:
            self._add(line, Code.ID_FORM, f"id '{text}' must be written {rules.id_cell(clip_id)}")
        if bracketed != rules.bracketed:
            how = "in square brackets" if rules.bracketed else "without brackets"
            self._add(line, Code.ID_BRACKETS, f"id '{text}' must be written {how}: {rules.id_cell(clip_id)}")
        first = self._lines.setdefault(clip_id, line)
        if first != line:
            self._add(line, Code.ID_DUPLICATE, f"id {clip_id} is already on line {first}; keep one row")
        elif clip_id not in self._table:
            self._add(line, Code.ID_UNKNOWN, f"id {clip_id} is no clip of {self._table.name}; remove the row")
        elif (split := self._table[clip_id].split) != self._split:
            self._add(line, Code.ID_SPLIT, f"id {clip_id} is a {split} clip; submit {self._split} clips only")
        if self._previous and rules.order(clip_id) < rules.order(self._previous):
            self._add(line, Code.UNSORTED, f"id {clip_id} comes after {self._previous}; sort rows by id, ascending")
        self._previous = clip_id

    def _check_values(self, cells: Mapping[str, str], line: int) -> None:
        """Check the label cells of one row; each kind of problem is one finding that names the columns."""
        self._rows += 1
        low, high = self._rules.low, self._rules.high
        wrong: dict[Code, list[str]] = {}
        for name, cell in cells.items():
            text = cell.strip()
            value = parse_number(text)
            code: Code | None = None
            if not text:
                code = Code.VALUE_EMPTY
            elif value is None and _DECIMAL_COMMA.fullmatch(text):
                value, code = float(text.replace(",", ".")), Code.DECIMAL_COMMA
            elif value is None:
                code = Code.VALUE_TEXT
            elif not math.isfinite(value):
                value, code = None, Code.VALUE_NOT_FINITE
            elif not low <= value <= high:
                code = Code.VALUE_RANGE
            for problem in (code, Code.SPACES if cell != text else None):
                if problem is not None:
                    wrong.setdefault(problem, []).append(f"{name} is '{cell}'")
            if value is not None and len(self._values[name]) < 2:
                self._values[name].add(value)
        ways_out = {
            Code.VALUE_RANGE: f"values lie in [{format_number(low)}, {format_number(high)}]",
            Code.DECIMAL_COMMA: "use a decimal point",
            Code.SPACES: "remove the outer spaces",
        }
        for kind, shown in wrong.items():
            way_out = ways_out.get(kind, "write a finite number for every clip")
            self._add(line, kind, f"{', '.join(shown)}; {way_out}", "warning" if kind is Code.SPACES else "error")
