"""Judging the rows of a submission: their ids against the test clips, their values against the task."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from eri.data.clips import ClipTable, Split
from eri.data.rows import count_clips, first_ids, normalise_id
from eri.data.text import format_number, parse_number
from eri.submission.findings import Code, Findings
from eri.submission.formats import SubmissionFormat, clips_to_submit
from eri.utils.errors import DataError

_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")


class IdJudge:
    """Judges the ids of all rows, in the order of the file.

    Args:
        table: The data set.
        split: What the file must hold.
        rules: How ids are spelled.
        findings: Where problems are noted.
    """

    def __init__(self, table: ClipTable, split: Split, rules: SubmissionFormat, findings: Findings) -> None:
        self._table = table
        self._split = split
        self._rules = rules
        self._findings = findings
        self._wanted = [clip.id for clip in clips_to_submit(table, split)]
        self._lines: dict[str, int] = {}
        self._previous = ""

    def judge(self, cell: str, line: int) -> None:
        """Judge the id of one row."""
        text = cell.strip()
        if text != cell:
            self._findings.add(line, Code.SPACES, f"id '{cell}' has outer spaces; remove them")
        bracketed = text.startswith("[") and text.endswith("]")
        bare = text[1:-1] if bracketed else text
        try:
            clip_id = normalise_id(bare, digits=self._rules.digits)
        except DataError:
            digits = self._rules.digits
            example = self._rules.id_cell(self._wanted[0] if digits is None else "42".zfill(digits))
            self._findings.add(line, Code.ID_FORM, f"'{text}' is not an id; write ids like {example}")
            return
        if bare != clip_id:
            self._findings.add(line, Code.ID_FORM, f"id '{text}' must be written {self._rules.id_cell(clip_id)}")
        if bracketed != self._rules.bracketed:
            how = "must stand in square brackets" if self._rules.bracketed else "must stand without brackets"
            self._findings.add(line, Code.ID_BRACKETS, f"id '{text}' {how}: {self._rules.id_cell(clip_id)}")
        self._place(clip_id, line)

    def _place(self, clip_id: str, line: int) -> None:
        first = self._lines.setdefault(clip_id, line)
        if first != line:
            self._findings.add(line, Code.ID_DUPLICATE, f"id {clip_id} stands already on line {first}; keep one row")
        elif clip_id not in self._table:
            self._findings.add(line, Code.ID_UNKNOWN, f"id {clip_id} is no clip of {self._table.name}; remove the row")
        elif (split := self._table[clip_id].split) != self._split:
            self._findings.add(line, Code.ID_SPLIT, f"id {clip_id} is a {split} clip; submit {self._split} clips only")
        if self._previous and self._rules.order(clip_id) < self._rules.order(self._previous):
            self._findings.add(
                line, Code.UNSORTED, f"id {clip_id} stands after {self._previous}; sort rows by id, ascending"
            )
        self._previous = clip_id

    def finish(self) -> None:
        """Note the clips that no row was for."""
        missing = [clip_id for clip_id in self._wanted if clip_id not in self._lines]
        if missing:
            message = f"{count_clips(missing)} of the {self._split} split without a row: {first_ids(missing)}; add them"
            self._findings.add(None, Code.ID_MISSING, message)


class ValueJudge:
    """Judges the values of all rows; of one line, each kind of problem is one finding that names the columns.

    Args:
        columns: The label columns that the file has.
        rules: The range of values.
        findings: Where problems are noted.
    """

    def __init__(self, columns: Sequence[str], rules: SubmissionFormat, findings: Findings) -> None:
        self._columns = columns
        self._rules = rules
        self._findings = findings
        self._seen: list[set[float]] = [set() for _ in columns]
        self._rows = 0

    def judge(self, cells: Sequence[str], line: int) -> None:
        """Judge the label cells of one row, in the order of the columns."""
        self._rows += 1
        wrong: dict[Code, list[str]] = {}
        for position, cell in enumerate(cells):
            code, value = self._judge_cell(cell.strip())
            if code is not None:
                wrong.setdefault(code, []).append(f"{self._columns[position]} is '{cell}'")
            if cell != cell.strip():
                wrong.setdefault(Code.SPACES, []).append(f"{self._columns[position]} is '{cell}'")
            if value is not None and len(self._seen[position]) < 2:
                self._seen[position].add(value)
        for code, cells_at_fault in wrong.items():
            shown = ", ".join(cells_at_fault)
            self._findings.add(
                line, code, f"{shown}; {self._way_out(code)}", "warning" if code is Code.SPACES else "error"
            )

    def _judge_cell(self, text: str) -> tuple[Code | None, float | None]:
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

    def _way_out(self, code: Code) -> str:
        match code:
            case Code.VALUE_RANGE:
                return f"values lie in [{format_number(self._rules.low)}, {format_number(self._rules.high)}]"
            case Code.DECIMAL_COMMA:
                return "use a decimal point"
            case Code.SPACES:
                return "remove the outer spaces"
            case _:
                return "write a finite number for every clip"

    def finish(self) -> None:
        """Note the columns in which all rows hold one value."""
        for name, seen in zip(self._columns, self._seen, strict=True):
            if self._rows > 1 and len(seen) == 1:
                self._findings.add(
                    None,
                    Code.CONSTANT_COLUMN,
                    f"column '{name}' is {format_number(*seen)} in every row: its Pearson correlation, and with it the "
                    "official score, is not a number; predict something that varies",
                )
