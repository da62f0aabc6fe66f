"""Judging the header of a submission, and finding the columns in spite of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eri.data.rows import normalise_id
from eri.data.text import parse_number
from eri.submission.findings import Code, Findings
from eri.submission.formats import SubmissionFormat
from eri.utils.errors import DataError
from eri.utils.spelling import closest

_INDEX_NAMES = frozenset({"", "index", "unnamed: 0"})


@dataclass(frozen=True)
class Header:
    """Where the columns are.

    Attributes:
        positions: Of each expected column that could be made out.
        width: Number of cells in a row.
        present: False where the first line is a row already.
    """

    positions: Mapping[str, int]
    width: int
    present: bool = True

    @classmethod
    def of(cls, rules: SubmissionFormat, *, present: bool = True) -> Header:
        """Return the header as the rules have it."""
        return cls({name: position for position, name in enumerate(rules.columns)}, len(rules.columns), present)


def judge_header(cells: Sequence[str], line: int, rules: SubmissionFormat, findings: Findings) -> Header:
    """Note every way in which a header differs from the rules, and return where the columns are all the same."""
    expected = rules.columns
    if _is_row(cells, rules):
        findings.add(line, Code.HEADER_MISSING, f"is a row; the first line must be the header {','.join(expected)}")
        return Header.of(rules, present=False)
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
        _note_extra(names, position, line, expected, findings)
    order = [positions[name] for name in expected if name in positions]
    if order != sorted(order):
        findings.add(line, Code.COLUMN_ORDER, f"columns are in another order; write {','.join(expected)}")
    return Header(positions, len(cells))


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
    """Match the columns still lacking to names that are alike, then to names in the same place; note each."""
    free = {position: name for position, name in enumerate(names) if position not in positions.values() and name}
    for place, wanted in enumerate(rules.columns):
        if wanted in positions:
            continue
        alike = closest(wanted, free.values())
        position = next((position for position, name in free.items() if name == alike), None)
        if position is None and len(names) == len(rules.columns) and place in free:
            position = place
        if position is not None:
            findings.add(
                line, Code.COLUMN_NAME, f"column '{free.pop(position)}' must be named '{wanted}' to the letter"
            )
            positions[wanted] = position


def _note_extra(names: Sequence[str], position: int, line: int, expected: Sequence[str], findings: Findings) -> None:
    name = names[position]
    if name.lower() in _INDEX_NAMES and position == 0:
        findings.add(
            line, Code.INDEX_COLUMN, "the first column is a row index; write the file without it (index=False)"
        )
    elif name in expected:
        findings.add(line, Code.COLUMN_EXTRA, f"column '{name}' stands twice; remove one")
    else:
        findings.add(line, Code.COLUMN_EXTRA, f"column '{name}' does not belong here; remove it")
