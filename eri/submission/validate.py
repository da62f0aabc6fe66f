"""Validation of any file as a submission: every finding at once, with its line, its code and what to do about it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from eri.data.clips import ClipTable, Split
from eri.data.rows import count_clips, first_ids, normalise_id
from eri.data.tables import format_number, parse_number
from eri.submission.findings import Code, Finding, Findings
from eri.submission.formats import SubmissionFormat, clips_to_submit, format_of
from eri.submission.reading import CellSplitter, Line, read_lines
from eri.utils.errors import DataError
from eri.utils.spelling import closest

_SPARE_BYTES = 64 * 1024
_BYTES_PER_CELL = 32  # a sign, a point and 17 digits are 19
_SPARE_LINES = 1000
_INDEX_NAMES = frozenset({"", "index", "unnamed: 0"})
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")


def validate_submission(
    file: Path,
    table: ClipTable,
    *,
    split: Split = "test",
    bracketed: bool | None = None,
    format: str | None = None,  # noqa: A002  # the option's name
) -> list[Finding]:
    """Check a file by the rules of the table's task, from its raw bytes.

    Args:
        file: Any file at all; a large or binary one is refused without being parsed.
        table: The data set.
        split: Every clip of it must have a row, and no other clip.
        bracketed: Whether ids are in square brackets; None is the task's own way (ERI: they are).
        format: Name of a registered format; see :func:`~eri.submission.formats.format_of`.

    Returns:
        Everything that is wrong: what concerns the whole file first, then line by line. An empty list is a file that
        the organisers accept.

    Raises:
        SubmissionError: The data set has no clips in the split.
    """
    rules = format_of(table, bracketed, format)
    findings = Findings()
    rows = _Rows(table, split, rules, findings)
    cells = len(table) * len(rules.columns)
    lines = read_lines(
        Path(file),
        findings,
        most_bytes=_SPARE_BYTES + _BYTES_PER_CELL * cells,
        most_lines=_SPARE_LINES + 4 * len(table),
    )
    if lines:
        splitter = CellSplitter(lines[0], findings)
        header = _check_header(splitter.split(lines[0]), lines[0].number, rules, findings)
        if header is None:
            header = _right_header(rules)
        else:
            del lines[0]
        if lines and len(splitter.split(lines[0])) == len(rules.columns) != header.width:
            header = _right_header(rules)  # the header lacks or adds a cell, the rows below it do not
        rows.check(lines, splitter, header)
    return findings.sorted()


class _Header(NamedTuple):
    """The position of each expected column that was recognised, and the number of cells in a row."""

    positions: Mapping[str, int]
    width: int


def _right_header(rules: SubmissionFormat) -> _Header:
    return _Header({name: position for position, name in enumerate(rules.columns)}, len(rules.columns))


def _check_header(cells: Sequence[str], line: int, rules: SubmissionFormat, findings: Findings) -> _Header | None:
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
    _match_near_misses(names, positions, line, rules, findings)
    for name in expected:
        if name not in positions:
            findings.add(line, Code.COLUMN_MISSING, f"column '{name}' is missing; add it")
    for position in sorted(set(range(len(names))) - set(positions.values())):
        name = names[position]
        if name.lower() in _INDEX_NAMES and position == 0:
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


def _match_near_misses(
    names: Sequence[str], positions: dict[str, int], line: int, rules: SubmissionFormat, findings: Findings
) -> None:
    """Match the columns still missing to similar names, then to names in the same place; each match is a finding."""
    free = {position: name for position, name in enumerate(names) if position not in positions.values() and name}
    for place, wanted in enumerate(rules.columns):
        if wanted in positions:
            continue
        similar = closest(wanted, free.values())
        position = next((position for position, name in free.items() if name == similar), None)
        if position is None and len(names) == len(rules.columns) and place in free:
            position = place
        if position is not None:
            message = f"column '{free.pop(position)}' must be named exactly '{wanted}'"
            findings.add(line, Code.COLUMN_NAME, message)
            positions[wanted] = position


class _Rows:
    """Checks the rows of a file in their order: ids against the clips of the split, values against the task.

    Raises:
        SubmissionError: The data set has no clips in the split.
    """

    def __init__(self, table: ClipTable, split: Split, rules: SubmissionFormat, findings: Findings) -> None:
        self._table, self._split, self._rules, self._add = table, split, rules, findings.add
        self._wanted = [clip.id for clip in clips_to_submit(table, split, rules)]
        self._lines: dict[str, int] = {}
        self._previous = ""
        self._values: dict[str, set[float]] = {}  # up to two different ones of each column
        self._rows = 0

    def check(self, lines: Sequence[Line], splitter: CellSplitter, header: _Header) -> None:
        id_position = header.positions.get(self._rules.id_column)
        self._values = {name: set() for name in self._rules.labels if name in header.positions}
        for line in lines:
            cells = splitter.split_row(line, header.width)
            if len(cells) != header.width:
                message = f"has {len(cells)} cells, must have {header.width}; give every column one cell"
                self._add(line.number, Code.RAGGED_ROW, message)
            if id_position is not None and id_position < len(cells):
                self._check_id(cells[id_position], line.number)
            if len(cells) == header.width:
                self._check_values({name: cells[header.positions[name]] for name in self._values}, line.number)
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
        wrong: dict[Code, list[str]] = {}
        for name, cell in cells.items():
            code, value = self._check_value(cell.strip())
            for problem in (code, Code.SPACES if cell != cell.strip() else None):
                if problem is not None:
                    wrong.setdefault(problem, []).append(f"{name} is '{cell}'")
            if value is not None and len(self._values[name]) < 2:
                self._values[name].add(value)
        ways_out = {
            Code.VALUE_RANGE: f"values lie in [{format_number(self._rules.low)}, {format_number(self._rules.high)}]",
            Code.DECIMAL_COMMA: "use a decimal point",
            Code.SPACES: "remove the outer spaces",
        }
        for code, shown in wrong.items():
            way_out = ways_out.get(code, "write a finite number for every clip")
            self._add(line, code, f"{', '.join(shown)}; {way_out}", "warning" if code is Code.SPACES else "error")

    def _check_value(self, text: str) -> tuple[Code | None, float | None]:
        """Return what is wrong with a cell, and its value where it has a finite one."""
        if not text:
            return Code.VALUE_EMPTY, None
        value = parse_number(text)
        if value is None:
            if _DECIMAL_COMMA.fullmatch(text):
                return Code.DECIMAL_COMMA, float(text.replace(",", "."))
            return Code.VALUE_TEXT, None
        if not math.isfinite(value):
            return Code.VALUE_NOT_FINITE, None
        return None if self._rules.low <= value <= self._rules.high else Code.VALUE_RANGE, value
