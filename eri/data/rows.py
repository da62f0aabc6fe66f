"""Reading ids, splits and labels out of table rows; shared by the adapters that have tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Sized

from eri.config.tasks import Task
from eri.data.clips import Split, check_id
from eri.data.tables import SHOWN, Kind, Table, format_number, is_missing, parse_number
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

Labels = dict[str, tuple[float, ...] | None]
_WHOLE_FLOAT = re.compile(r"([0-9]+)\.0+")


def normalise_id(cell: str | int, *, digits: int | None = None) -> str:
    """Return the one form of a clip id: no outer spaces, quotes or brackets, safe as a file name, else a DataError.

    Ids that are numbers of so many ``digits`` are padded with zeros, and a whole number that a spreadsheet or pandas
    turned into ``42.0`` is read as 42.

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


def find_id(name: str, *, digits: int) -> str | None:
    """Return the id that a file or folder is named after; None where it is none."""
    try:
        return normalise_id(name, digits=digits)
    except DataError:
        return None


class ClipRows:
    """The rows of a table by clip id; what is wrong with ids, splits and labels is recorded among their problems."""

    def __init__(self, table: Table, id_position: int, *, digits: int | None = None) -> None:
        self.table, self.problems = table, table.problems()
        self.index: dict[str, int] = {}
        for index, (line, cells) in enumerate(zip(table.lines, table.rows, strict=True)):
            try:
                clip_id = normalise_id(cells[id_position], digits=digits)
            except DataError as error:
                self.problems.add(_BAD_ID, line, error.message if cells[id_position] else "the id is empty")
                continue
            first = self.index.setdefault(clip_id, index)
            if first != index:
                self.problems.add(_DOUBLED, line, f"id {clip_id} is already on {table.unit} {table.lines[first]}")

    def cells(self, position: int) -> dict[str, str]:
        """Return each clip's cell of a column."""
        return {clip_id: self.table.rows[index][position] for clip_id, index in self.index.items()}

    def record(self, kind: Kind, clip_id: str, detail: str) -> None:
        """Record a problem of one clip."""
        self.problems.add(kind, self.table.lines[self.index[clip_id]], f"clip {clip_id}: {detail}")

    def _record_unknown(self, kind: Kind, clip_id: str, position: int, known: Iterable[str]) -> None:
        cell = self.table.rows[self.index[clip_id]][position]
        guess = f"{did_you_mean(cell, known)}; known: {', '.join(known)}"
        self.record(kind, clip_id, f"{self.table.columns[position]} is '{cell}'{guess}")

    def read_splits(self, position: int, known: Mapping[str, Split]) -> dict[str, Split]:
        """Return the split of each clip; ``known`` is the one that each name stands for in the table, in any case."""
        by_lower = {name.lower(): split for name, split in known.items()}
        splits: dict[str, Split] = {}
        for clip_id, cell in self.cells(position).items():
            if (split := by_lower.get(cell.lower())) is not None:
                splits[clip_id] = split
            else:
                self._record_unknown(_SPLIT, clip_id, position, known)
        return splits

    def read_labels(self, positions: Sequence[int], splits: Mapping[str, Split], task: Task) -> Labels:
        """Return the labels of each clip, None where a test clip has none.

        ``positions`` are those of the label columns, in the task's order. A clip without a split is passed over: its
        problem is recorded already.
        """
        labels: Labels = {}
        for clip_id, index in self.index.items():
            if clip_id not in splits:
                continue
            cells = [self.table.rows[index][position] for position in positions]
            values = [parse_number(cell) for cell in cells]
            if all(value is not None and task.low <= value <= task.high for value in values):
                labels[clip_id] = tuple(value for value in values if value is not None)
            elif all(map(is_missing, cells)) and splits[clip_id] == "test":
                labels[clip_id] = None
            else:
                self._record_labels(clip_id, cells, values, task)
        return labels

    def _record_labels(self, clip_id: str, cells: Sequence[str], values: Sequence[float | None], task: Task) -> None:
        missing = [name for name, cell in zip(task.labels, cells, strict=True) if is_missing(cell)]
        if len(missing) == len(cells):
            self.record(_EMPTY, clip_id, "all labels are empty")
        elif missing:
            self.record(_PARTLY, clip_id, f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} empty")
        for name, cell, value in zip(task.labels, cells, values, strict=True):
            if name in missing:
                continue
            if value is None:
                self.record(_TEXT, clip_id, f"{name} is '{cell}'")
            elif not task.low <= value <= task.high:
                bounds = f"[{format_number(task.low)}, {format_number(task.high)}]"
                self.record(_RANGE, clip_id, f"{name} is {cell}, outside {bounds}")

    def read_classes(self, position: int, splits: Mapping[str, Split], task: Task, known: Mapping[str, str]) -> Labels:
        """Return the class of each clip as one-hot labels; else as :meth:`read_labels`.

        ``known`` is the class that each name stands for in the table; case matters only where two differ by it alone.
        """
        folded = {name.casefold(): label for name, label in known.items()}
        labels: Labels = {}
        for clip_id, cell in self.cells(position).items():
            label = known.get(cell) or folded.get(cell.casefold())
            if clip_id not in splits:
                continue
            if label is not None:
                labels[clip_id] = task.one_hot(label)
            elif not is_missing(cell):
                self._record_unknown(_CLASS, clip_id, position, known)
            elif splits[clip_id] == "test":
                labels[clip_id] = None
            else:
                self.record(_EMPTY, clip_id, f"{self.table.columns[position]} is empty")
        return labels


def first_ids(ids: Iterable[str]) -> str:
    """Return the first five ids in ascending order, for a message."""
    ordered = sorted(ids)
    return ", ".join(ordered[:SHOWN]) + (", …" if len(ordered) > SHOWN else "")


def count_clips(ids: Sized) -> str:
    """Return '1 clip' or '3 clips'."""
    return f"{len(ids)} clip{'' if len(ids) == 1 else 's'}"
