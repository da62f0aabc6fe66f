"""Reading CSV and Parquet tables as text cells that remember the line they stand on."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eri.config.tasks import Task
from eri.data.problems import Kind, Problems
from eri.data.text import SEPARATOR_NAMES, decode, guess_separator
from eri.utils.errors import DataError
from eri.utils.spelling import did_you_mean, squeeze

PARQUET_SUFFIXES = frozenset({".parquet", ".pq"})

_LONGEST_HEADER = 1 << 16
_SAVE_AGAIN = "Save it again as comma-separated CSV in UTF-8."
_COPY_AGAIN = "Copy it again from the data set."
_RAGGED = Kind(
    "rows with too many or too few cells",
    "Give each row as many cells as the header; write decimals with a point and put cells that hold commas in quotes.",
)


@dataclass(frozen=True, eq=False)
class Table:
    """A table of text cells without outer spaces; a missing value is the empty string."""

    path: Path
    columns: tuple[str, ...]
    rows: list[list[str]]  # as many cells as columns
    lines: list[int]  # the 1-based number of each row in the file
    unit: str = "line"  # what these count: lines of a text file (the header is line 1), rows of a Parquet table

    def positions(self, names: Iterable[str]) -> list[int]:
        """Return where the named columns stand; a DataError names every missing one, with the most similar there is."""
        names = tuple(names)
        known = list(filter(None, self.columns))
        missing = [f"'{name}'{did_you_mean(name, known)}" for name in names if name not in self.columns]
        if missing:
            header = ", line 1" if self.unit == "line" else ""
            raise DataError(
                f"{self.path}{header}: no column {', '.join(missing)}",
                hint=f"Column names must match exactly. The file has: {', '.join(self.columns)}.",
            )
        return [self.columns.index(name) for name in names]

    def problems(self) -> Problems:
        """Return a new collector for this file's problems."""
        return Problems(self.path, self.unit)


def read_table(path: Path) -> Table:
    """Read a table with a header: Parquet by its suffix, everything else as comma-separated UTF-8 text.

    A byte-order mark, Windows line ends, quoted cells and blank lines are accepted; anything else is a DataError.
    """
    table = _read_parquet(path) if path.suffix.lower() in PARQUET_SUFFIXES else _read_csv(path)
    doubled = min((name for name in table.columns if name and table.columns.count(name) > 1), default=None)
    if doubled is not None:
        raise DataError(f"{path}: column '{doubled}' is duplicated in the header", hint="Rename or remove one of them.")
    if not table.rows:
        raise DataError(f"{path}: has a header but no rows", hint="Copy the file again: it is cut off.")
    return table


def count_labels(path: Path, task: Task) -> int:
    """Return how many of a task's labels the header of a CSV table has, near misses included; 0 where it has none."""
    try:
        with path.open("rb") as stream:
            line = decode(stream.readline(_LONGEST_HEADER)).text
    except OSError:
        return 0
    names = {squeeze(cell.strip().strip('"')) for cell in line.split(guess_separator(line))}
    return sum(squeeze(label) in names for label in task.labels)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file; a DataError where it is missing, a folder, not readable, or empty."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if not data.strip():
        raise DataError(f"{path}: the file is empty", hint=_COPY_AGAIN)
    return data


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file; a DataError where it is missing, empty or of another encoding."""
    decoded = decode(read_bytes(path))
    if decoded.encoding == "binary":
        raise DataError(f"{path}: is not a text file", hint="A Parquet table needs the suffix .parquet.")
    if decoded.encoding == "utf-16":
        raise DataError(f"{path}: is encoded as UTF-16, not UTF-8", hint=_SAVE_AGAIN)
    if decoded.encoding == "unknown":
        raise DataError(f"{path}, line {decoded.line}: is not UTF-8 (Latin-1 or Windows-1252?)", hint=_SAVE_AGAIN)
    return decoded.text


def _read_csv(path: Path) -> Table:
    records: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                records.append([cell.strip() for cell in cells])
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        hint = 'A quoted cell is not closed, or holds a bare ".'
        raise DataError(f"{path}, line {line}: {error}", hint=hint) from error
    if not records:
        raise DataError(f"{path}: the file is empty", hint=_COPY_AGAIN)
    header = tuple(records[0])
    if len(header) == 1 and (separator := guess_separator(header[0])) != ",":
        message = f"{path}, line {lines[0]}: cells are separated by {SEPARATOR_NAMES[separator]}, not commas"
        raise DataError(message, hint=_SAVE_AGAIN)
    table = Table(path, header, records[1:], lines[1:])
    problems = table.problems()
    for line, cells in zip(table.lines, table.rows, strict=True):
        if len(cells) != len(header):
            problems.add(_RAGGED, line, f"{len(cells)} cells, the header has {len(header)}")
    problems.check()
    return table


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    read_bytes(path)  # the plain errors: missing, a folder, empty
    try:
        content = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from error
    columns = [_texts(values) for values in content.to_pydict().values()]
    rows = [list(cells) for cells in zip(*columns, strict=True)]
    return Table(path, tuple(content.column_names), rows, list(range(1, len(rows) + 1)), "row")


def _texts(values: Sequence[Any]) -> list[str]:
    return [
        "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value).strip()
        for value in values
    ]
