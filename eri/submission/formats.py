"""What a submission file must look like for a task, and what it may be called."""

from __future__ import annotations

import re
from dataclasses import dataclass

from eri.data.clips import Clip, ClipTable, Split
from eri.data.hume_reaction import ID_COLUMN, ID_DIGITS
from eri.errors import SubmissionError
from eri.tasks import ERI

DEFAULT_NAME = "predictions.csv"

_NAME_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-_]*")


@dataclass(frozen=True)
class SubmissionFormat:
    """The rules of one task's file: UTF-8, commas, a header, one row per test clip in ascending order of id.

    Attributes:
        id_column: First column of the header.
        labels: The other columns, in order.
        low: Smallest legal value.
        high: Largest legal value.
        bracketed: Ids stand in square brackets.
        digits: Ids are numbers of this many digits; None where ids are text.
    """

    id_column: str
    labels: tuple[str, ...]
    low: float
    high: float
    bracketed: bool
    digits: int | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The header."""
        return (self.id_column, *self.labels)

    def id_cell(self, clip_id: str) -> str:
        """Return an id as the file spells it."""
        return f"[{clip_id}]" if self.bracketed else clip_id


def format_of(table: ClipTable, bracketed: bool | None = None) -> SubmissionFormat:
    """Return the format that the table's task asks for.

    ERI has ``File_ID`` and five digits in square brackets. Every other task has the id column and the ids of its own
    table, without brackets.

    Args:
        table: The data set.
        bracketed: Ids with or without brackets; None is the task's own way.
    """
    task = table.task
    eri = task.name == ERI.name
    return SubmissionFormat(
        id_column=ID_COLUMN if eri else table.id_column,
        labels=task.labels,
        low=task.low,
        high=task.high,
        bracketed=eri if bracketed is None else bracketed,
        digits=ID_DIGITS if eri else None,
    )


def clips_to_submit(table: ClipTable, split: Split = "test") -> tuple[Clip, ...]:
    """Return the clips that the organisers score, in the order of the file.

    Raises:
        SubmissionError: There are none.
    """
    clips = table.split(split)
    if not clips:
        raise SubmissionError(
            f"{table.name}: has no {split} clips, so there is nothing to submit",
            hint="Check the split column; the organisers' table holds the test clips with empty labels.",
        )
    return clips


def submission_name(challenge: str, team: str, number: int) -> str:
    """Return a file name of the form ``<CHALLENGE>_<team_name>_<submission_no>.csv``.

    Raises:
        SubmissionError: A part is empty or not safe in a file name, or the number is not positive.

    Examples:
        >>> submission_name("ERI", "yap", 2)
        'ERI_yap_2.csv'
    """
    for what, part in (("challenge", challenge), ("team", team)):
        if not _NAME_PART.fullmatch(part):
            raise SubmissionError(
                f"{what} name '{part}' does not fit a file name",
                hint="Use letters, digits, '.', '-' and '_', no spaces.",
            )
    if number < 1:
        raise SubmissionError(f"submission number {number} is not positive", hint="Count submissions from 1.")
    return f"{challenge}_{team}_{number}.csv"
