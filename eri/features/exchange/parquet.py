"""Parquet tables of features: an id column, a time column, and one column per feature; the rows of a clip together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eri.data.rows import normalise_id
from eri.data.tables import PARQUET_SUFFIXES
from eri.features.exchange.reading import RawFeatures, TimeUnit
from eri.features.sources import Source
from eri.utils.errors import DataError
from eri.utils.files import canonical_json

ID_COLUMN = "clip_id"
TIME_COLUMN = "time"
METADATA = b"eri"
"""Key of the JSON in the table's metadata that says what ``eri features export`` wrote."""

_TIME_NAMES = (TIME_COLUMN, "timestamp", "times", "timestamps")
_BATCH = 4096


def is_parquet(path: Path) -> bool:
    """Tell whether a path has a suffix of Parquet."""
    return path.suffix.lower() in PARQUET_SUFFIXES


@dataclass(frozen=True)
class ParquetTable:
    """A table of the features of many clips; see :class:`~eri.features.exchange.reading.FeatureSource`."""

    path: Path
    id_names: tuple[str, ...]  # what the id column may be called, the likeliest first
    id_digits: int | None  # of the data set's ids, see eri.data.rows.normalise_id
    time_name: str | None = None  # None finds it by its usual names

    def identities(self) -> dict[str, Source]:
        """Return the identity of each clip: a hash of its rows, so that tables may grow without changing it."""
        return {raw.clip_id: raw.source for raw in self._clips(None, "s")}

    def sample_times(self, clips: int) -> list[NDArray[np.float64]] | TimeUnit | None:
        """Return the times of the first clips as they are written, or the unit that an exported table states."""
        if self._layout.time is None:
            return None
        stated: Any = None
        with suppress(ValueError):
            stated = json.loads((self._file.schema_arrow.metadata or {}).get(METADATA, b"{}"))
        if isinstance(stated, dict) and stated.get("time_unit") in ("s", "ms"):
            unit: TimeUnit = stated["time_unit"]
            return unit
        return [raw.times for raw in islice(self._clips(None, "s"), clips) if raw.times is not None]

    def read(self, clip_ids: Collection[str], time_unit: TimeUnit) -> Iterator[RawFeatures]:
        """Read some clips."""
        return self._clips(set(clip_ids), time_unit)

    @cached_property
    def _file(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.path}: cannot be read as Parquet: {error}") from error

    @cached_property
    def _layout(self) -> _Layout:
        return _layout(self.path, self._file.schema_arrow, self.id_names, self.time_name)

    def _clips(self, wanted: set[str] | None, time_unit: TimeUnit) -> Iterator[RawFeatures]:
        seen: set[str] = set()
        for first, cells, times, values in self._runs():
            clip_id = self._clip_id(cells, first)
            if clip_id in seen:
                raise DataError(
                    f"{self.path}, row {first}: the rows of clip {clip_id} are not together",
                    hint=f"Sort the table by {self._layout.id}, then by time.",
                )
            seen.add(clip_id)
            if wanted is None or clip_id in wanted:
                state = hashlib.sha256(canonical_json([self._layout.features, values.dtype.str, values.shape]).encode())
                state.update(values.tobytes())
                state.update(b"" if times is None else times.tobytes())
                mtime_ns = self.path.stat().st_mtime_ns
                source = Source(self.path.name, size=values.nbytes, mtime_ns=mtime_ns, sha256=state.hexdigest())
                seconds = times if times is None or time_unit == "s" else times / 1000
                names, lines = self._layout.features, range(first, first + len(values))
                yield RawFeatures(clip_id, str(self.path), source, values, seconds, names, lines)
        if not seen:
            raise DataError(f"{self.path}: has no rows", hint="Copy the file again.")

    def _clip_id(self, cell: Any, row: int) -> str:
        if cell is None:
            raise DataError(
                f"{self.path}, row {row}: the id ({self._layout.id}) is empty", hint="Every row must name its clip."
            )
        try:
            return normalise_id(str(cell), digits=self.id_digits)
        except DataError as error:
            hint = error.hint or "Correct the ids, or name their column with --id-column NAME."
            raise DataError(f"{self.path}, row {row}: {error.message}", hint=hint) from error

    def _runs(self) -> Iterator[tuple[int, Any, NDArray[np.float64] | None, NDArray[np.floating]]]:
        """Yield runs of rows of one id: number of the first row (from 1), id, times, values."""
        layout, row = self._layout, 1
        rest: pa.Table | None = None
        for batch in self._batches():
            part = pa.Table.from_batches([batch])
            rest = part if rest is None else pa.concat_tables([rest, part])
            ids = rest.column(layout.id).to_pylist()
            starts = [0, *(place for place in range(1, len(ids)) if ids[place] != ids[place - 1])]
            for start, end in pairwise(starts):  # the last one's rows may go on in the next batch
                yield row + start, ids[start], *_arrays(rest.slice(start, end - start), layout)
            rest, row = rest.slice(starts[-1]), row + starts[-1]
        if rest is not None and rest.num_rows:
            yield row, rest.column(layout.id)[0].as_py(), *_arrays(rest, layout)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._file.iter_batches(batch_size=_BATCH)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.path}: cannot be read as Parquet: {error}") from error


@dataclass(frozen=True)
class _Layout:
    """Which column holds what."""

    id: str
    time: str | None
    features: tuple[str, ...]


def _layout(path: Path, schema: pa.Schema, id_names: Sequence[str], time_name: str | None) -> _Layout:
    names = list(schema.names)
    id_column = _find(names, id_names)
    if id_column is None:
        raise DataError(
            f"{path}: has no column of clip ids; looked for {', '.join(id_names)}",
            hint="Name it with --id-column NAME.",
        )
    time_column = _find(names, _TIME_NAMES if time_name is None else (time_name,))
    if time_name is not None and time_column is None:
        raise DataError(f"{path}: has no column '{time_name}' of times", hint="Leave --time-column out, or correct it.")
    features = tuple(name for name in names if name not in (id_column, time_column))
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DataError(f"{path}: column '{doubled[0]}' is duplicated", hint="Rename or remove one of them.")
    numeric = (pa.types.is_integer, pa.types.is_floating)
    for name in features if time_column is None else (time_column, *features):
        if not any(check(schema.field(name).type) for check in numeric):
            raise DataError(
                f"{path}: column '{name}' is of type {schema.field(name).type}, not of numbers",
                hint="Keep the id, the time and one column of numbers per feature; drop other columns.",
            )
    if not features:
        raise DataError(f"{path}: has no column of features", hint="Every column beside id and time is a feature.")
    return _Layout(id_column, time_column, features)


def _find(names: Iterable[str], wanted: Iterable[str]) -> str | None:
    """Return the first wanted name that is there, exactly or in another case."""
    names = list(names)
    by_lower = {name.lower(): name for name in names}
    found = (name if name in names else by_lower.get(name.lower()) for name in wanted)
    return next(filter(None, found), None)


def _arrays(table: pa.Table, layout: _Layout) -> tuple[NDArray[np.float64] | None, NDArray[np.floating]]:
    times = None if layout.time is None else _floats(table.column(layout.time)).astype(np.float64)
    return times, np.column_stack([_floats(table.column(name)) for name in layout.features])


def _floats(column: pa.ChunkedArray) -> NDArray[np.floating]:
    array: NDArray[Any] = column.to_numpy()
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
