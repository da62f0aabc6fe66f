"""The table of annotated apexes: when the expression of a clip is strongest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from eri.data.clips import ClipTable
from eri.data.problems import Kind
from eri.data.tables import Table, read_table
from eri.data.text import parse_number
from eri.utils.errors import ConflictingLabelsError, DataError

_UNKNOWN = Kind("clips that are not in the data", "Name clips as the data set's table does, or leave these rows out.")
_TWICE = Kind("clips that stand twice", "Keep one row for each clip.", ConflictingLabelsError)
_NO_TIME = Kind("times that cannot be", "Give seconds from the clip's start, with the end at or after the begin.")


def read_apexes(path: Path, table: ClipTable) -> Mapping[str, tuple[float, float]]:
    """Read the begin and end of annotated apexes.

    Args:
        path: CSV or Parquet with the columns ``clip_id``, ``begin`` and ``end`` in seconds, or ``clip_id`` and ``apex``
            where the apex is a moment.
        table: The clips that it may name.

    Returns:
        Begin and end in seconds by clip id.

    Raises:
        DataError: The file cannot be read, names other clips, a clip twice, or times that cannot be.
    """
    found = read_table(path)
    columns = ("apex", "apex") if "apex" in found.columns else ("begin", "end")
    known = {clip.id for clip in table}
    problems = found.problems()
    apexes: dict[str, tuple[float, float]] = {}
    for line, clip_id, cells in _rows(found, columns):
        begin, end = (parse_number(cell) for cell in cells)
        if clip_id not in known:
            problems.add(_UNKNOWN, line, f"'{clip_id}'")
        elif clip_id in apexes:
            problems.add(_TWICE, line, f"clip {clip_id} stands further up too")
        elif begin is None or end is None or not 0 <= begin <= end < math.inf:
            problems.add(_NO_TIME, line, f"clip {clip_id}: from '{cells[0]}' to '{cells[1]}'")
        else:
            apexes[clip_id] = (float(begin), float(end))
    problems.check()
    if not apexes:
        raise DataError(f"{path}: names no clip")
    return apexes


def _rows(found: Table, columns: tuple[str, str]) -> list[tuple[int, str, tuple[str, str]]]:
    key, first, last = found.positions(("clip_id", *columns))
    return [
        (line, cells[key], (cells[first], cells[last])) for line, cells in zip(found.lines, found.rows, strict=True)
    ]
