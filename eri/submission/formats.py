"""What a submission file must look like for a task, and what it may be called."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from eri.data.clips import ClipTable, Split
from eri.utils.errors import SubmissionError
from eri.utils.registry import Registry

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
        numeric: Ids are numbers without leading zeros, so that 9 stands before 10.
    """

    id_column: str
    labels: tuple[str, ...]
    low: float
    high: float
    bracketed: bool
    digits: int | None
    numeric: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The header."""
        return (self.id_column, *self.labels)

    def id_cell(self, clip_id: str) -> str:
        """Return an id as the file spells it."""
        return f"[{clip_id}]" if self.bracketed else clip_id

    def order(self, clip_id: str) -> tuple[int, str]:
        """Return what rows ascend by: the id as a number where all ids are numbers, else as text."""
        return (int(clip_id), "") if self.numeric and clip_id.isdecimal() else (0, clip_id)


FORMATS: Registry[Callable[[ClipTable], SubmissionFormat]] = Registry("submission format")
"""Functions from a data set to its format, by name; ``challenge`` is the one of every task that has none of its own."""

Rules = TypeVar("Rules", bound=Callable[[ClipTable], SubmissionFormat])


def register_submission(name: str) -> Callable[[Rules], Rules]:
    """Register a submission format: a decorator of a function from a clip table to its :class:`SubmissionFormat`.

    Args:
        name: Given to ``--format``. One that has the name of a task is that task's format without being asked for.

    Raises:
        PluginError: The name is taken.
    """

    def register(rules: Rules) -> Rules:
        FORMATS.register(name, rules, rules.__module__)
        return rules

    return register


def format_of(table: ClipTable, bracketed: bool | None = None, name: str | None = None) -> SubmissionFormat:
    """Return the format of a data set's submissions, by default the one registered under its task's name.

    Without such a one it is ``challenge``. ``bracketed`` says whether ids have brackets; None is the format's own way.

    Raises SubmissionError where no format has the name, it does not fit the data set, or the task asks for classes,
    which no challenge takes.
    """
    if name is not None and name not in FORMATS:
        raise SubmissionError(FORMATS.unknown(name))
    chosen = name or (table.task.name if table.task.name in FORMATS else "challenge")
    rules = FORMATS[chosen](table)
    if not isinstance(rules, SubmissionFormat) or not set(rules.labels) <= set(table.task.labels):
        raise SubmissionError(
            f"the submission format '{chosen}' of {FORMATS.origin(chosen)} does not fit the task '{table.task.name}': "
            f"its labels are {', '.join(table.task.labels)}",
            hint="Choose another one with --format.",
        )
    return rules if bracketed is None else replace(rules, bracketed=bracketed)


@register_submission("challenge")
def _challenge(table: ClipTable) -> SubmissionFormat:
    """Return the format that the table's task asks for.

    A task (:mod:`eri.config.tasks`) says what its id column is called, how many digits an id has and whether it stands
    in brackets. Every other task has the id column and the ids of its own table, without brackets.
    """
    task = table.task
    if task.is_classification:
        raise SubmissionError(
            f"{table.name}: no challenge takes the class probabilities of '{task.name}', so there is no file to submit",
            hint="`eri evaluate --split test` writes them to predictions.parquet, with scores where labels are known.",
        )
    column, digits = task.id_column or table.id_column, task.id_digits
    numeric = digits is None and all(clip.id.isdecimal() for clip in table)
    return SubmissionFormat(column, task.labels, task.low, task.high, task.bracketed, digits, numeric)


def ids_to_submit(table: ClipTable, split: Split, rules: SubmissionFormat) -> list[str]:
    """Return the clips that the organisers score, in the order of the file; SubmissionError where there are none."""
    clips = table.split(split)
    if not clips:
        raise SubmissionError(
            f"{table.name}: has no {split} clips, so there is nothing to submit",
            hint="Check the split column; the organisers' table holds the test clips with empty labels.",
        )
    return sorted((clip.id for clip in clips), key=rules.order)


def submission_name(challenge: str, team: str, number: int) -> str:
    """Return a file name of the form ``<CHALLENGE>_<team_name>_<submission_no>.csv``; SubmissionError for unsafe parts.

    >>> submission_name("ERI", "yap", 2)
    'ERI_yap_2.csv'
    """
    for what, part in (("challenge", challenge), ("team", team)):
        if not _NAME_PART.fullmatch(part):
            hint = "Use letters, digits, '.', '-' and '_', no spaces."
            raise SubmissionError(f"{what} name '{part}' does not fit a file name", hint=hint)
    if number < 1:
        raise SubmissionError(f"submission number {number} is not positive", hint="Count submissions from 1.")
    return f"{challenge}_{team}_{number}.csv"
