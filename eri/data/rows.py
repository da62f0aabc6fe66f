"""Reading ids, splits and labels out of table rows; shared by all adapters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Sized

from eri.config.tasks import Task
from eri.data.clips import Split, check_id
from eri.data.problems import SHOWN, Kind, Problems
from eri.data.tables import Table
from eri.data.text import format_number, is_missing, parse_number
from eri.utils.errors import DataError, UnknownClassError
from eri.utils.spelling import did_you_mean

_BAD_ID = Kind("ids that cannot be used", "Correct the ids; media and feature files are named after them.")
_DOUBLED = Kind("duplicated ids", "Keep one row for each clip.")
_SPLIT = Kind("unknown splits", "Correct the cells, or the splits that a manifest maps.")
_TEXT = Kind("labels that are no numbers", "Write plain numbers with a decimal point, such as 0.25.")
_RANGE = Kind("labels out of range", "Check the scale of the labels; a manifest states its own with 'range'.")
_EMPTY = Kind("clips of a labelled split without labels", "Fill in the labels, or move the clips to the test split.")
_CLASS = Kind(
    "unknown classes", "Correct the cells, or the classes that a manifest lists in 'labels'.", UnknownClassError
)
_PARTLY = Kind("partly filled labels", "Fill in all labels of the clip, or none where it is a test clip.")

_WHOLE_FLOAT = re.compile(r"([0-9]+)\.0+")


def normalise_id(cell: str | int, *, digits: int | None = None) -> str:
    """Return the one form of a clip id: no outer spaces, quotes or brackets, zero-padded where the data set counts.

    Args:
        cell: The id as a table gives it.
        digits: The data set's ids are numbers of this many digits. Shorter ones are padded with zeros, and a whole
            number that a spreadsheet or pandas turned into ``42.0`` is read as 42. None leaves the text as it is.

    Raises:
        DataError: It is not such a number, or not safe as a file name.

    Examples:
        >>> normalise_id("[00042]", digits=5), normalise_id(42, digits=5), normalise_id('"03a01Fa"')
        ('00042', '00042', '03a01Fa')
    """
    text = str(cell).strip()
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        text = text[1:-1].strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
    if digits is None:
        return check_id(text)
    if whole := _WHOLE_FLOAT.fullmatch(text):
        text = whole[1]
    if not (text.isascii() and text.isdigit() and len(text) <= digits):
        raise DataError(f"id '{cell}' is not a number of at most {digits} digits")
    return text.zfill(digits)


def read_ids(table: Table, position: int, problems: Problems, *, digits: int | None = None) -> dict[str, int]:
    """Return the index of each clip's row, recording ids that cannot be used or are duplicated."""
    found: dict[str, int] = {}
    for index, cells in enumerate(table.rows):
        try:
            clip_id = normalise_id(cells[position], digits=digits)
        except DataError as error:
            problems.add(_BAD_ID, table.lines[index], error.message if cells[position] else "the id is empty")
            continue
        first = found.setdefault(clip_id, index)
        if first != index:
            problems.add(_DOUBLED, table.lines[index], f"id {clip_id} is already on {table.unit} {table.lines[first]}")
    return found


def read_splits(
    table: Table, position: int, rows: Mapping[str, int], known: Mapping[str, Split], problems: Problems
) -> dict[str, Split]:
    """Return the split of each clip, noting those of an unknown name; case does not matter.

    Args:
        table: The table.
        position: Of the split column.
        rows: Index of each clip's row.
        known: The split that each name of the table stands for.
        problems: Where unknown names are noted.
    """
    by_lower = {name.lower(): split for name, split in known.items()}
    splits: dict[str, Split] = {}
    for clip_id, index in rows.items():
        cell = table.rows[index][position]
        split = by_lower.get(cell.lower())
        if split is not None:
            splits[clip_id] = split
            continue
        problems.add(
            _SPLIT,
            table.lines[index],
            f"clip {clip_id}: {table.columns[position]} is '{cell}'{did_you_mean(cell, known)}; "
            f"known: {', '.join(known)}",
        )
    return splits


def read_labels(
    table: Table,
    positions: Sequence[int],
    rows: Mapping[str, int],
    splits: Mapping[str, Split],
    task: Task,
    problems: Problems,
) -> dict[str, tuple[float, ...] | None]:
    """Return the labels of each clip, None where a test clip has none; record every one that is not as it must be.

    Args:
        table: The table.
        positions: Of the label columns, in the task's order.
        rows: Index of each clip's row.
        splits: The split of each clip: labels of test clips may be empty. A clip without a split is passed over, its
            problem is noted already.
        task: Names and range of the labels.
        problems: Where they are noted.
    """
    labels: dict[str, tuple[float, ...] | None] = {}
    for clip_id, index in rows.items():
        if clip_id not in splits:
            continue
        cells = [table.rows[index][position] for position in positions]
        values = [parse_number(cell) for cell in cells]
        if all(value is not None and task.low <= value <= task.high for value in values):
            labels[clip_id] = tuple(value for value in values if value is not None)
        elif all(map(is_missing, cells)) and splits[clip_id] == "test":
            labels[clip_id] = None
        else:
            _record_label_problems(cells, values, f"clip {clip_id}", table.lines[index], task, problems)
    return labels


def read_classes(
    table: Table,
    position: int,
    rows: Mapping[str, int],
    splits: Mapping[str, Split],
    task: Task,
    known: Mapping[str, str],
    problems: Problems,
) -> dict[str, tuple[float, ...] | None]:
    """Return the class of each clip as one-hot labels, None where a test clip has none; record every unknown one.

    Args:
        table: The table.
        position: Of the column of classes.
        rows: Index of each clip's row.
        splits: The split of each clip, see :func:`read_labels`.
        task: The classification.
        known: The class that each name of the table stands for; case matters only where two differ by it alone.
        problems: Where unknown classes are noted.
    """
    folded = {name.casefold(): label for name, label in known.items()}
    labels: dict[str, tuple[float, ...] | None] = {}
    for clip_id, index in rows.items():
        if clip_id not in splits:
            continue
        cell, line = table.rows[index][position], table.lines[index]
        label = known.get(cell) or folded.get(cell.casefold())
        if label is not None:
            labels[clip_id] = task.one_hot(label)
        elif not is_missing(cell):
            named = f"{table.columns[position]} is '{cell}'{did_you_mean(cell, known)}; known: {', '.join(known)}"
            problems.add(_CLASS, line, f"clip {clip_id}: {named}")
        elif splits[clip_id] == "test":
            labels[clip_id] = None
        else:
            problems.add(_EMPTY, line, f"clip {clip_id}: {table.columns[position]} is empty")
    return labels


def _record_label_problems(
    cells: Sequence[str], values: Sequence[float | None], clip: str, line: int, task: Task, problems: Problems
) -> None:
    missing = [name for name, cell in zip(task.labels, cells, strict=True) if is_missing(cell)]
    if len(missing) == len(cells):
        problems.add(_EMPTY, line, f"{clip}: all labels are empty")
        return
    if missing:
        problems.add(_PARTLY, line, f"{clip}: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} empty")
    for name, cell, value in zip(task.labels, cells, values, strict=True):
        if name in missing:
            continue
        if value is None:
            problems.add(_TEXT, line, f"{clip}: {name} is '{cell}'")
        elif not task.low <= value <= task.high:
            bounds = f"[{format_number(task.low)}, {format_number(task.high)}]"
            problems.add(_RANGE, line, f"{clip}: {name} is {cell}, outside {bounds}")


def require_same_ids(left: str, left_ids: Iterable[str], right: str, right_ids: Iterable[str]) -> None:
    """Refuse to join two tables where a clip is on one side only.

    Args:
        left: The one table, for the message.
        left_ids: Its ids.
        right: The other table.
        right_ids: Its ids.

    Raises:
        DataError: Names the first five clips on each side and how many there are.

    Examples:
        >>> require_same_ids("labels.csv", ["00001", "00002"], "partition.csv", ["00001"])
        Traceback (most recent call last):
        eri.utils.errors.DataError: 1 clip of labels.csv not in partition.csv: 00002
          → Every clip must be in both tables; copy them again from the same release of the data set.
    """
    one, other = set(left_ids), set(right_ids)
    parts = [
        f"{count_clips(lost)} of {here} not in {there}: {first_ids(lost)}"
        for here, there, lost in ((left, right, one - other), (right, left, other - one))
        if lost
    ]
    if parts:
        raise DataError(
            "; ".join(parts),
            hint="Every clip must be in both tables; copy them again from the same release of the data set.",
        )


def first_ids(ids: Iterable[str]) -> str:
    """Return the first five ids in ascending order, for a message.

    Examples:
        >>> first_ids(["b", "a"])
        'a, b'
    """
    ordered = sorted(ids)
    return ", ".join(ordered[:SHOWN]) + (", …" if len(ordered) > SHOWN else "")


def count_clips(ids: Sized) -> str:
    """Return '1 clip' or '3 clips'."""
    return f"{len(ids)} clip{'' if len(ids) == 1 else 's'}"
