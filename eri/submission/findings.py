"""What can be wrong with a submission file: stable codes, and the findings that carry them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Severity = Literal["error", "warning"]

LISTED = 10_000
"""Findings of one code that are listed; further ones are counted only, so that no file floods memory."""


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


class Findings:
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
