"""CSV and Parquet tables as text cells that remember their lines, and everything that is wrong with one, at once."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from eri.config.tasks import Task
from eri.utils.errors import DataError
from eri.utils.spelling import did_you_mean, squeeze

SHOWN = 5
Encoding = Literal["utf-8", "utf-8-bom", "utf-16", "unknown", "binary"]
PARQUET_SUFFIXES = frozenset({".parquet", ".pq"})
SEPARATOR_NAMES = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_SNIFFED = 1024
_LONGEST_HEADER = 1 << 16
_SAVE_AGAIN = "Save it again as comma-separated CSV in UTF-8."
_COPY_AGAIN = "Copy it again from the data set."


class Kind(NamedTuple):
    """A kind of problem: a plural that a count in brackets follows, and what the user can do about it."""

    title: str
    way_out: str
    error: type[DataError] = DataError  # raised where all problems are of this kind


class Problems:
    """The problems of one file or folder by kind, each at a ``unit`` of it; the first five of a kind are shown.

    Examples:
        >>> problems = Problems(Path("data_info.csv"))
        >>> problems.add(Kind("unknown splits", "Use Train, Val or Test."), 7, "Split is 'Dev'")
        >>> problems.check()
        Traceback (most recent call last):
        eri.utils.errors.DataError: data_info.csv, line 7: Split is 'Dev'
          → Use Train, Val or Test.
    """

    def __init__(self, path: Path, unit: str = "line") -> None:
        self._path = path
        self._unit = unit
        self._found: dict[Kind, list[str]] = {}

    def add(self, kind: Kind, place: int | str, detail: str) -> None:
        """Record one problem at a line, a row, or a path within the folder."""
        self._found.setdefault(kind, []).append(f"{self._unit} {place}: {detail}")

    def check(self) -> None:
        """Raise one DataError of all recorded problems, of a narrower type where all of them ask for it."""
        types = {kind.error for kind in self._found}
        if not types:
            return
        error = types.pop() if len(types) == 1 else DataError
        hint = "\n    ".join(dict.fromkeys(kind.way_out for kind in self._found))
        if sum(map(len, self._found.values())) == 1:
            ((only,),) = self._found.values()
            raise error(f"{self._path}, {only}", hint=hint)
        parts = [f"{self._path}:"]
        for kind, found in self._found.items():
            first = f", the first {SHOWN}" if len(found) > SHOWN else ""
            parts.append(f"  {kind.title} ({len(found)}{first}):")
            parts += [f"    {text}" for text in found[:SHOWN]]
        raise error("\n".join(parts), hint=hint)


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
    rows = [[_text(value) for value in row.values()] for row in content.to_pylist()]
    return Table(path, tuple(content.column_names), rows, list(range(1, len(rows) + 1)), "row")


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value).strip()


class Decoded(NamedTuple):
    """The text of a file, without a byte-order mark, and how it was encoded.

    ``utf-8`` is the only right encoding; ``utf-8-bom`` differs by a mark in front that spreadsheets write. An
    ``unknown`` one is read as Latin-1, so that the rest of the file can still be judged; a ``binary`` file has no text.
    """

    text: str
    encoding: Encoding
    line: int | None = None  # 1-based, of the first byte that is not UTF-8, where the encoding is unknown


def decode(data: bytes) -> Decoded:
    """Decode the bytes of a table, whatever they are.

    Examples:
        >>> decode("id,é".encode("utf-16")).encoding, decode("id,é".encode("latin-1")).encoding
        ('utf-16', 'unknown')
    """
    wide = _wide_encoding(data)
    if wide is not None:
        return Decoded(data.decode(wide, errors="replace").lstrip("\ufeff"), "utf-16")
    if b"\0" in data:
        return Decoded("", "binary")
    mark = data.startswith(codecs.BOM_UTF8)
    try:
        return Decoded(data.decode("utf-8-sig"), "utf-8-bom" if mark else "utf-8")
    except UnicodeDecodeError as error:
        start = error.start + (len(codecs.BOM_UTF8) if mark else 0)
        return Decoded(data.decode("latin-1"), "unknown", data.count(b"\n", 0, start) + 1)


def _wide_encoding(data: bytes) -> str | None:
    """Name the UTF-16 flavour: by its mark, or by the zero beside every ASCII character."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    head = data[: min(_SNIFFED, len(data) // 2 * 2)]
    even, odd = head[0::2], head[1::2]
    if head and not any(odd) and all(even):
        return "utf-16-le"
    return "utf-16-be" if head and not any(even) and all(odd) else None


def guess_separator(header: str) -> str:
    r"""Return the character that separates the cells of a header line: the commonest of ``,`` ``;`` tab and ``|``.

    Examples:
        >>> guess_separator("File_ID;Split;Fear")
        ';'
    """
    return max((",", *SEPARATOR_NAMES), key=header.count)


def parse_number(cell: str) -> float | None:
    """Return the number of a cell, NaN and infinities too; None for text, and for underscores and digits beyond ASCII.

    Examples:
        >>> parse_number("0.5"), parse_number("nan"), parse_number("0,5"), parse_number("1_0")
        (0.5, nan, None, None)
    """
    return float(cell) if _NUMBER.fullmatch(cell) or _NOT_FINITE.fullmatch(cell) else None


def is_missing(cell: str) -> bool:
    """Say whether a cell stands for 'no value': empty, or a word that spreadsheets and pandas write for it."""
    return cell.lower() in {"", "nan", "na", "n/a", "null", "none"}


def format_number(value: float) -> str:
    """Return the shortest decimal text of a bound, for messages.

    Examples:
        >>> format_number(1.0), format_number(0.5)
        ('1', '0.5')
    """
    return str(int(value)) if math.isfinite(value) and value == int(value) else repr(value)
