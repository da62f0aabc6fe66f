"""Judging any file as a submission: all findings at once."""

from __future__ import annotations

from pathlib import Path

from eri.data.clips import ClipTable, Split
from eri.submission.findings import Code, Finding, Findings
from eri.submission.formats import SubmissionFormat, format_of
from eri.submission.header import Header, judge_header
from eri.submission.reading import CellSplitter, Line, Size, read_lines
from eri.submission.rows import IdJudge, ValueJudge

_SPARE_BYTES = 64 * 1024
_BYTES_PER_CELL = 32  # a sign, a point and 17 digits are 19
_SPARE_LINES = 1000


def validate_submission(
    file: Path, table: ClipTable, *, split: Split = "test", bracketed: bool | None = None
) -> list[Finding]:
    """Judge a file by the rules of the table's task, from its raw bytes.

    Args:
        file: Any file at all; a large or binary one is refused without being parsed.
        table: The data set.
        split: Every clip of it must have a row, and no other clip.
        bracketed: Whether ids stand in square brackets; None is the task's own way (ERI: they do).

    Returns:
        Everything that is wrong: what concerns the whole file first, then line by line. An empty list is a file that
        the organisers accept.

    Raises:
        SubmissionError: The data set has no clips in the split.
    """
    rules = format_of(table, bracketed)
    findings = Findings()
    ids = IdJudge(table, split, rules, findings)
    cells = len(table) * len(rules.columns)
    most = Size(_SPARE_BYTES + _BYTES_PER_CELL * cells, _SPARE_LINES + 4 * len(table))
    lines = read_lines(Path(file), most, findings)
    if lines:
        splitter = CellSplitter(lines[0], findings)
        header = judge_header(splitter.header(lines[0]), lines[0].number, rules, findings)
        rows = lines[1:] if header.present else lines
        if rows and len(splitter.header(rows[0])) == len(rules.columns) != header.width:
            header = Header.of(rules)  # the header lacks or adds a cell, the rows below it do not
        _judge_rows(rows, splitter, header, ids, rules, findings)
    return findings.sorted()


def _judge_rows(
    lines: list[Line],
    splitter: CellSplitter,
    header: Header,
    ids: IdJudge,
    rules: SubmissionFormat,
    findings: Findings,
) -> None:
    id_position = header.positions.get(rules.id_column)
    labels = [name for name in rules.labels if name in header.positions]
    values = ValueJudge(labels, rules, findings)
    for line in lines:
        cells = splitter.row(line, header.width)
        if len(cells) != header.width:
            message = f"has {len(cells)} cells, must have {header.width}; give every column one cell"
            findings.add(line.number, Code.RAGGED_ROW, message)
        if id_position is not None and id_position < len(cells):
            ids.judge(cells[id_position], line.number)
        if len(cells) == header.width:
            values.judge([cells[header.positions[name]] for name in labels], line.number)
    if id_position is not None:
        ids.finish()
    values.finish()
