"""Folders of one CSV file per clip, as MuSe distributes its features: two meta columns, then one column per feature.

The first column names the clip, the second the time of the row; both are in every row. A file is parsed line by line
with Python's own float: for a thousand columns that is forty times faster than a data frame.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eri.data.rows import normalise_id
from eri.data.tables import read_bytes
from eri.data.text import SEPARATOR_NAMES, decode, guess_separator, is_missing, parse_number
from eri.features.exchange.reading import RawFeatures, TimeUnit, identify_file
from eri.features.sources import Source
from eri.utils.errors import DataError

META_COLUMNS = 2
SUFFIX = ".csv"

_AGAIN = "Copy it again from the data set."


@dataclass(frozen=True)
class CsvFolder:
    """A folder of CSV files.

    Attributes:
        path: Where it is.
        files: The file of each clip, by id.
        id_digits: Of the data set's ids, see :func:`~eri.data.rows.normalise_id`.
    """

    path: Path
    files: Mapping[str, Path]
    id_digits: int | None

    def identities(self) -> dict[str, Source]:
        """Return the identity of each clip's file."""
        return {clip_id: identify_file(path) for clip_id, path in self.files.items()}

    def sample_times(self, clips: int) -> list[NDArray[np.float64]]:
        """Return the times of the first clips as they are written."""
        raws = (self._parse(clip_id, "s") for clip_id in sorted(self.files)[:clips])
        return [raw.times for raw in raws if raw.times is not None]

    def read(self, clip_ids: Collection[str], time_unit: TimeUnit) -> Iterator[RawFeatures]:
        """Read some clips; see :class:`~eri.features.exchange.reading.FeatureSource`."""
        for clip_id in sorted(clip_ids):
            yield self._parse(clip_id, time_unit)

    def _parse(self, clip_id: str, time_unit: TimeUnit) -> RawFeatures:
        path = self.files[clip_id]
        parsed = _parse(path)
        self._check_ids(clip_id, path, parsed)
        times = np.array([_seconds(cell, time_unit) for cell in parsed.times], dtype=np.float64)
        source = identify_file(path)
        return RawFeatures(clip_id, str(path), source, parsed.values, times, parsed.columns, parsed.lines, "line")

    def _check_ids(self, clip_id: str, path: Path, parsed: _Parsed) -> None:
        """Refuse a file that holds rows of another clip than its name says."""
        right = ""
        for cell, line in zip(parsed.ids, parsed.lines, strict=True):
            if cell == right:
                continue
            try:
                found = normalise_id(cell, digits=self.id_digits)
            except DataError as error:
                raise DataError(f"{path}, line {line}: {error.message}", hint=_AGAIN) from error
            if found != clip_id:
                raise DataError(
                    f"{path}, line {line}: the row is of clip {found}, the file's name says {clip_id}", hint=_AGAIN
                )
            right = cell


@dataclass(frozen=True, eq=False)
class _Parsed:
    """The cells of one file."""

    columns: tuple[str, ...]
    ids: list[str]
    times: list[str]
    values: NDArray[np.float64]
    lines: list[int]


def _parse(path: Path) -> _Parsed:
    text = _text(path)
    records = _split_quoted(path, text) if '"' in text else _split(text)
    header_line, header = next(records, (1, [""]))
    header = [name.strip() for name in header]
    _check_header(path, header_line, header)
    # Python's float takes more than a table should hold: 1_0, and digits of other scripts.
    doubtful = not text.isascii() or "_" in text[text.find("\n") :]
    ids, times, rows, lines = [], [], [], []
    for line, cells in records:
        if len(cells) != len(header):
            raise DataError(f"{path}, line {line}: {len(cells)} cells, the header has {len(header)}", hint=_AGAIN)
        ids.append(cells[0])
        times.append(cells[1])
        rows.append(_numbers(path, line, cells, header, doubtful=doubtful))
        lines.append(line)
    if not rows:
        raise DataError(f"{path}: has a header but no rows", hint="Leave the clip out; that is normal.")
    return _Parsed(tuple(header[META_COLUMNS:]), ids, times, np.stack(rows), lines)


def _text(path: Path) -> str:
    decoded = decode(read_bytes(path))
    if decoded.encoding not in ("utf-8", "utf-8-bom"):
        raise DataError(f"{path}: is not a CSV file in UTF-8", hint=_AGAIN)
    return decoded.text


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


def _check_header(path: Path, line: int, header: list[str]) -> None:
    if len(header) == 1 and (separator := guess_separator(header[0])) != ",":
        raise DataError(
            f"{path}, line {line}: cells are separated by {SEPARATOR_NAMES[separator]}, not commas",
            hint="Save it again as comma-separated CSV in UTF-8.",
        )
    if len(header) <= META_COLUMNS or "time" not in header[1].lower():
        begin = ",".join(header[: META_COLUMNS + 1])
        raise DataError(
            f"{path}, line {line}: the header begins '{begin}'; two columns for the clip's id and the time (such as "
            "File_ID,timestamp) and then at least one feature are expected",
            hint="Other tables can be imported as one Parquet file, see docs/features.md.",
        )
    if len(set(header)) < len(header):
        doubled = next(name for name in header if header.count(name) > 1)
        raise DataError(f"{path}, line {line}: column '{doubled}' is duplicated", hint=_AGAIN)


def _numbers(path: Path, line: int, cells: list[str], header: list[str], *, doubtful: bool) -> NDArray[np.float64]:
    features = cells[META_COLUMNS:]
    try:
        if not doubtful:
            return np.fromiter(map(float, features), np.float64, len(features))
    except ValueError:
        pass  # a cell is empty or text: the slow way knows which
    names = header[META_COLUMNS:]
    return np.array([_number(path, line, *pair) for pair in zip(features, names, strict=True)], dtype=np.float64)


def _number(path: Path, line: int, cell: str, name: str) -> float:
    cell = cell.strip()
    if is_missing(cell):
        return float("nan")
    value = parse_number(cell)
    if value is None:
        raise DataError(f"{path}, line {line}: {name} is '{cell}', which is no number", hint=_AGAIN)
    return value


def _seconds(cell: str, unit: TimeUnit) -> float:
    """Return a time in seconds, NaN where the cell is no number.

    Milliseconds are scaled in the decimal text, so that no rounding comes in twice.

    Examples:
        >>> _seconds("1500", "ms"), _seconds(" 1.5", "s")
        (1.5, 1.5)
    """
    value = parse_number(cell.strip())
    if value is None:
        return float("nan")
    if unit == "s":
        return value
    try:
        return float(f"{cell.strip()}e-3")
    except ValueError:  # it has an exponent already
        return value / 1000
