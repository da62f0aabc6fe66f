"""Exporting: from the feature store to one CSV file per clip as MuSe distributes them, or to one Parquet table."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from eri.features.exchange.clip_files import CSV_SUFFIX
from eri.features.exchange.parquet import ID_COLUMN, METADATA, TIME_COLUMN, is_parquet
from eri.features.exchange.reading import TimeUnit
from eri.features.folder import SUFFIX as FEATURE_SUFFIX
from eri.features.folder import FeatureFolder
from eri.features.records import FeatureSequence
from eri.features.store import bare_name, choose_folder, identity_of
from eri.utils.errors import DataError, StoreError
from eri.utils.files import atomic_folder, atomic_path, canonical_json

Format = Literal["csv", "parquet"]

_ROWS_A_GROUP = 4096


@dataclass(frozen=True)
class ExportReport:
    """What an export did."""

    target: Path
    clips: int
    rows: int
    masked: int  # rows without numbers: empty cells, or nulls
    seconds: float


def export_features(
    features: Path,
    name: str,
    target: Path,
    *,
    format: Format | None = None,  # noqa: A002  what everyone calls it
    clip_ids: Sequence[str] | None = None,
    time_unit: TimeUnit = "ms",
    on_progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write features of the store for other programs.

    ``csv`` makes a folder of one file per clip: ``File_ID,timestamp`` and a column per feature. ``parquet`` writes one
    table: ``clip_id``, ``time`` in seconds, and a column per feature. Without a format the target's suffix decides.
    Rows that are masked have empty cells. ``eri features import --missing mask`` reads them back, and every number and
    time as it was.
    """
    started = time.monotonic()
    target = Path(target)
    folder = choose_folder(features, name)
    if target.exists():
        raise DataError(f"{target}: is already there", hint="Choose another place, or move it away.")
    there = sorted(path.name.removesuffix(FEATURE_SUFFIX) for path in folder.path.glob(f"[!.]*{FEATURE_SUFFIX}"))
    chosen = there if clip_ids is None else sorted(set(clip_ids))
    if absent := sorted(set(chosen) - set(there)):
        raise DataError(f"{folder.path}: {len(absent)} clip(s) without features, the first '{absent[0]}'")
    if not chosen:
        raise StoreError(f"{folder.path}: holds no features", hint="Run `eri extract` or `eri features import` first.")
    clips = _Clips(folder, chosen, on_progress)
    write = _write_parquet if (format or ("parquet" if is_parquet(target) else "csv")) == "parquet" else _write_csv
    try:
        write(clips, target, time_unit)
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error.strerror or error}") from error
    return ExportReport(target, len(chosen), clips.rows, clips.masked, time.monotonic() - started)


@dataclass
class _Clips:
    """Reads clip after clip, and counts all rows and those without numbers."""

    folder: FeatureFolder
    ids: Sequence[str]
    on_progress: Callable[[int, int], None] | None
    rows: int = 0
    masked: int = 0

    def __iter__(self) -> Iterator[tuple[str, FeatureSequence]]:
        for count, clip_id in enumerate(self.ids, 1):
            sequence = self.folder.read(clip_id)
            self.rows += len(sequence.states)
            self.masked += int(np.count_nonzero(~sequence.mask))
            yield clip_id, sequence
            if self.on_progress is not None:
                self.on_progress(count, len(self.ids))


def _columns(folder: FeatureFolder, dimension: int) -> list[str]:
    """Return the names of the features: those that they were imported with, else numbered ones."""
    identity = identity_of(folder)
    columns = identity.get("columns") if identity.get("extractor") == "imported" else None
    name = bare_name(folder.path.name)
    return list(columns) if columns else [f"{name}_{position}" for position in range(dimension)]


def _write_csv(clips: _Clips, target: Path, time_unit: TimeUnit) -> None:
    header = ""
    with atomic_folder(target) as folder:
        for clip_id, sequence in clips:
            header = header or _header(_columns(clips.folder, sequence.embeddings.shape[1]), clips.folder)
            (folder / f"{clip_id}{CSV_SUFFIX}").write_text(
                header + _csv_rows(clip_id, sequence, time_unit), encoding="utf-8", newline="\n"
            )


def _header(columns: Sequence[str], folder: FeatureFolder) -> str:
    if odd := next((name for name in columns if re.search(r'[,"\r\n]', name) or name != name.strip()), None):
        raise DataError(
            f"{folder.path}: feature '{odd}' has a name that a CSV without quotes cannot hold",
            hint="Export to a .parquet table.",
        )
    return ",".join(("File_ID", "timestamp", *columns)) + "\n"


def _csv_rows(clip_id: str, sequence: FeatureSequence, time_unit: TimeUnit) -> str:
    width = sequence.embeddings.shape[1]
    # Nine digits tell all 32-bit numbers apart; one format string a row is three times faster than one a number.
    pattern = ",".join(["%.9g"] * width)
    empty = "," * (width - 1)
    rows = zip(sequence.times.tolist(), sequence.mask.tolist(), sequence.embeddings.tolist(), strict=True)
    return "".join(
        f"{clip_id},{_time_text(when, time_unit)},{pattern % tuple(values) if valid else empty}\n"
        for when, valid, values in rows
    )


def _time_text(seconds: float, unit: TimeUnit) -> str:
    """Return a time as text; milliseconds are shifted as decimals, so that an import gets the very same number.

    Examples:
        >>> _time_text(1.001, "ms"), _time_text(0.5, "s"), _time_text(1e-7, "ms")
        ('1001', '0.5', '0.0001')
    """
    shifted = Decimal(repr(seconds)) * (1000 if unit == "ms" else 1)
    text = f"{shifted:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _write_parquet(clips: _Clips, target: Path, _unit: TimeUnit) -> None:
    try:
        with atomic_path(target) as temporary, ExitStack() as exits:
            writer: Any = None
            for group in _groups(clips):
                if writer is None:
                    schema = _schema(_columns(clips.folder, group[0][1].embeddings.shape[1]), clips.folder)
                    writer = exits.enter_context(pq.ParquetWriter(temporary, schema))
                writer.write_batch(_batch(group, schema))
    except pa.ArrowException as error:
        raise DataError(f"{target}: cannot be written: {error}") from error


def _schema(columns: Sequence[str], folder: FeatureFolder) -> Any:
    if taken := {ID_COLUMN, TIME_COLUMN} & set(columns):
        raise DataError(f"{folder.path}: a feature is called '{min(taken)}', as the table's own column")
    stated = {METADATA: canonical_json({"time_unit": "s", "features": folder.path.name}).encode()}
    fields = [(ID_COLUMN, pa.string()), (TIME_COLUMN, pa.float64()), *((name, pa.float32()) for name in columns)]
    return pa.schema(fields, metadata=stated)


def _groups(clips: _Clips) -> Iterator[list[tuple[str, FeatureSequence]]]:
    """Yield clips in groups that make row groups of a good size."""
    group: list[tuple[str, FeatureSequence]] = []
    before = 0
    for pair in clips:
        group.append(pair)
        if clips.rows - before >= _ROWS_A_GROUP:
            yield group
            group, before = [], clips.rows
    if group:
        yield group


def _batch(clips: Sequence[tuple[str, FeatureSequence]], schema: Any) -> Any:
    ids = [clip_id for clip_id, sequence in clips for _ in range(len(sequence.states))]
    times = np.concatenate([sequence.times for _, sequence in clips])
    values: NDArray[np.float32] = np.concatenate([sequence.embeddings for _, sequence in clips])
    absent = np.concatenate([~sequence.mask for _, sequence in clips])
    features = [pa.array(values[:, position], mask=absent) for position in range(values.shape[1])]
    return pa.record_batch([pa.array(ids, pa.string()), pa.array(times), *features], schema=schema)
