"""Folders of one file per clip: CSV as MuSe distributes its features, or a pickled array as EMI does.

A CSV has two meta columns, the clip's id and the time of the row, then one column per feature. It is parsed line by
line with Python's own float: for a thousand columns that is forty times faster than a data frame. An array has rows ×
dimension, without times or names.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.data.rows import normalise_id
from eri.data.tables import SEPARATOR_NAMES, decode, guess_separator, is_missing, parse_number, read_bytes
from eri.features.exchange.reading import RawFeatures, TimeUnit
from eri.features.sources import Source, identify_source
from eri.utils.errors import DataError
from eri.utils.unpickling import read_pickle

CSV_SUFFIX, ARRAY_SUFFIX = ".csv", ".pkl"

_META_COLUMNS = 2
_MOST_NUMBERS = 10**8
_AGAIN = "Copy it again from the data set."
_HINT = "Each file must hold one array of rows × features, or a list of rows of numbers."


@dataclass(frozen=True)
class ClipFiles:
    """The file of each clip, by id, all of one suffix; see :class:`~eri.features.exchange.reading.FeatureSource`."""

    path: Path
    files: Mapping[str, Path]
    suffix: str
    id_digits: int | None  # of the data set's ids, see eri.data.rows.normalise_id

    def identities(self) -> dict[str, Source]:
        """Return the identity of each clip's file."""
        return {clip_id: _identify(path) for clip_id, path in self.files.items()}

    def sample_times(self, clips: int) -> list[NDArray[np.float64]] | None:
        """Return the times of the first clips as they are written; arrays have none."""
        if self.suffix == ARRAY_SUFFIX:
            return None
        raws = self.read(sorted(self.files)[:clips], "s")
        return [raw.times for raw in raws if raw.times is not None]

    def read(self, clip_ids: Collection[str], time_unit: TimeUnit) -> Iterator[RawFeatures]:
        """Read some clips."""
        for clip_id in sorted(clip_ids):
            path = self.files[clip_id]
            if self.suffix == ARRAY_SUFFIX:
                yield RawFeatures(clip_id, str(path), _identify(path), _matrix(read_pickle(path), str(path)))
            else:
                yield _read_csv(path, clip_id, self.id_digits, time_unit)


def _identify(path: Path) -> Source:
    """Return the identity of a file, named after its folder and itself."""
    return identify_source(Source(f"{path.parent.name}/{path.name}", path))


def _read_csv(path: Path, clip_id: str, id_digits: int | None, unit: TimeUnit) -> RawFeatures:
    decoded = decode(read_bytes(path))
    if decoded.encoding not in ("utf-8", "utf-8-bom"):
        raise DataError(f"{path}: is not a CSV file in UTF-8", hint=_AGAIN)
    text = decoded.text
    records = _split_quoted(path, text) if '"' in text else _split(text)
    header_line, header = next(records, (1, [""]))
    header = [name.strip() for name in header]
    _check_header(f"{path}, line {header_line}", header)
    # Python's float takes more than a table should hold: 1_0, and digits of other scripts.
    doubtful = not text.isascii() or "_" in text[text.find("\n") :]
    ids, times, rows, lines = [], [], [], []
    for line, cells in records:
        place = f"{path}, line {line}"
        if len(cells) != len(header):
            raise DataError(f"{place}: {len(cells)} cells, the header has {len(header)}", hint=_AGAIN)
        ids.append(cells[0])
        times.append(_seconds(cells[1].strip(), unit))
        rows.append(_numbers(place, cells, header, doubtful=doubtful))
        lines.append(line)
    if not rows:
        raise DataError(f"{path}: has a header but no rows", hint="Leave the clip out; that is normal.")
    _check_ids(path, clip_id, id_digits, dict(zip(reversed(ids), reversed(lines), strict=True)))
    columns = tuple(header[_META_COLUMNS:])
    return RawFeatures(clip_id, str(path), _identify(path), np.stack(rows), np.array(times), columns, lines, "line")


def _check_ids(path: Path, clip_id: str, id_digits: int | None, lines: Mapping[str, int]) -> None:
    """Refuse a file that holds rows of another clip than its name says; ``lines`` has the first line of each id."""
    for cell, line in sorted(lines.items(), key=lambda item: item[1]):
        try:
            found = normalise_id(cell, digits=id_digits)
        except DataError as error:
            raise DataError(f"{path}, line {line}: {error.message}", hint=_AGAIN) from error
        if found != clip_id:
            message = f"{path}, line {line}: the row is of clip {found}, the file's name says {clip_id}"
            raise DataError(message, hint=_AGAIN)


def _split(text: str) -> Iterator[tuple[int, list[str]]]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return ((number, line.split(",")) for number, line in enumerate(lines, 1) if line.strip())


def _split_quoted(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: {error}", hint=_AGAIN) from error


def _check_header(place: str, header: list[str]) -> None:
    if len(header) == 1 and (separator := guess_separator(header[0])) != ",":
        raise DataError(
            f"{place}: cells are separated by {SEPARATOR_NAMES[separator]}, not commas",
            hint="Save it again as comma-separated CSV in UTF-8.",
        )
    if len(header) <= _META_COLUMNS or "time" not in header[1].lower():
        begin = ",".join(header[: _META_COLUMNS + 1])
        raise DataError(
            f"{place}: the header begins '{begin}'; two columns for the clip's id and the time (such as "
            "File_ID,timestamp) and then at least one feature are expected",
            hint="Other tables can be imported as one Parquet file, see docs/features.md.",
        )
    if len(set(header)) < len(header):
        doubled = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{place}: column '{doubled}' is duplicated", hint=_AGAIN)


def _numbers(place: str, cells: list[str], header: list[str], *, doubtful: bool) -> NDArray[np.float64]:
    features = cells[_META_COLUMNS:]
    try:
        if not doubtful:
            return np.fromiter(map(float, features), np.float64, len(features))
    except ValueError:
        pass  # a cell is empty or text: the slow way knows which
    values = []
    for cell, name in zip(map(str.strip, features), header[_META_COLUMNS:], strict=True):
        value = float("nan") if is_missing(cell) else parse_number(cell)
        if value is None:
            raise DataError(f"{place}: {name} is '{cell}', which is no number", hint=_AGAIN)
        values.append(value)
    return np.array(values, dtype=np.float64)


def _seconds(cell: str, unit: TimeUnit) -> float:
    """Return a time in seconds, NaN where the cell is no number.

    Milliseconds are scaled in the decimal text, so that no rounding comes in twice.

    Examples:
        >>> _seconds("1500", "ms"), _seconds("1.5", "s")
        (1.5, 1.5)
    """
    value = parse_number(cell)
    if value is None:
        return float("nan")
    if unit == "s":
        return value
    try:
        return float(f"{cell}e-3")
    except ValueError:  # it has an exponent already
        return value / 1000


def _matrix(value: Any, origin: str) -> NDArray[np.floating]:
    """Return an array, or a list of rows of numbers, as a matrix.

    An array of one axis is a single row; of more than two axes the first ones must have the length 1.

    Examples:
        >>> _matrix([[1, 2], (3, 4)], "a.pkl").tolist(), _matrix(np.zeros((1, 5, 3)), "a.pkl").shape
        ([[1.0, 2.0], [3.0, 4.0]], (5, 3))
    """
    array = value if isinstance(value, np.ndarray) else _stack(value, origin)
    if array.dtype.kind not in "fiu":
        raise DataError(f"{origin}: holds an array of type {array.dtype}, not of numbers", hint=_HINT)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 1 and array.size:
        array = array[np.newaxis]
    if array.ndim != 2 or not array.shape[1]:
        raise DataError(f"{origin}: holds an array of shape {array.shape}, not rows × features", hint=_HINT)
    return array.astype(np.float32 if array.dtype in (np.float16, np.float32) else np.float64)


def _stack(value: Any, origin: str) -> NDArray[Any]:
    rows = value if isinstance(value, list | tuple) else None
    if not rows:
        raise DataError(f"{origin}: holds {_describe(value)}, not an array", hint=_HINT)
    if all(map(_is_number, rows)):
        return np.array(rows, dtype=np.float64)
    width = len(rows[0]) if isinstance(rows[0], list | tuple | np.ndarray) and np.ndim(rows[0]) else 0
    # A small pickle may name one row a million times.
    if len(rows) * width > _MOST_NUMBERS:
        raise DataError(f"{origin}: holds {len(rows)} rows of {width} numbers, more than any clip has", hint=_HINT)
    for number, row in enumerate(rows, 1):
        problem = ""
        if isinstance(row, np.ndarray):
            if row.ndim != 1 or row.dtype.kind not in "fiu":
                problem = f"is an array of shape {row.shape}"
        elif not isinstance(row, list | tuple) or not all(map(_is_number, row)):
            problem = f"is {_describe(row)}, not a row of numbers"
        if not problem and len(row) != width:
            problem = f"has {len(row)} numbers, the first row has {width}"
        if problem:
            raise DataError(f"{origin}, row {number}: {problem}", hint=_HINT)
    return np.array(rows, dtype=np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _describe(value: Any) -> str:
    empty = isinstance(value, list | tuple) and not value
    return f"an empty {type(value).__name__}" if empty else f"a {type(value).__name__}"
