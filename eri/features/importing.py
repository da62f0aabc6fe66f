"""Importing: from the organisers' feature files to the feature store, all of them or none."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.config import ImportedConfig
from eri.data.clips import ClipTable
from eri.errors import DataError
from eri.features.names import known_modality
from eri.features.raw import (
    FeatureSource,
    Missing,
    Modality,
    RawFeatures,
    TimeUnit,
    to_sequence,
)
from eri.features.sources import open_source, unknown_ids
from eri.files import digest
from eri.store import FeatureFolder, FeatureStore, SourceIdentity, identity_of, remember_config
from eri.store.claims import wait_for
from eri.store.problems import explained

Floats = NDArray[np.float64]

_FORMAT = 1
_STAGING = ".import-"
_SAMPLED = 100
_WRITERS = 8
_SHORTEST_STEP = 10.0
"""No features have fewer rows than one in ten seconds, or more than one hundred a second: a step between rows of ten or
more is in milliseconds, a smaller one in seconds."""


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes:
        name: Of the features.
        modality: What they describe.
        folder: Their feature folder.
        added: Clips that this import put there.
        already: Clips that were there with the same content.
        absent: Clips of the data set that the folder has no features of; that is normal.
        dimension: Length of a row.
        rows: Rows of the clips added.
        masked: How many of them are masked.
        times: What times were taken to be written in; ``rows`` where there were none.
        seconds: Wall time.
    """

    name: str
    modality: Modality
    folder: Path
    added: int
    already: int
    absent: int
    dimension: int
    rows: int
    masked: int
    times: TimeUnit | str
    seconds: float


@dataclass(frozen=True)
class _Reading:
    """How a source is read, and whether the unit of its times was guessed."""

    name: str
    modality: Modality
    data_set: str
    time_unit: TimeUnit
    times: str
    hop: float
    missing: Missing
    columns: tuple[str, ...] | None
    dimension: int
    guessed: bool

    def identity(self, source: str) -> dict[str, Any]:
        return {
            "extractor": "imported",
            "format": _FORMAT,
            "name": self.name,
            "modality": self.modality,
            "data_set": self.data_set,
            "times": self.times,
            "missing": self.missing,
            "dimension": self.dimension,
            "columns": None if self.columns is None else list(self.columns),
            "source": source,
        }


def import_features(
    table: ClipTable,
    source: Path,
    features: Path,
    *,
    name: str | None = None,
    modality: Modality | None = None,
    time_unit: TimeUnit | None = None,
    hop: float = 1.0,
    missing: Missing = "refuse",
    id_column: str | None = None,
    time_column: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Put features that someone else computed into the feature store, where training finds them like extracted ones.

    Everything is read and checked before anything is kept. Clips without features are normal. A later import of the
    same features, such as those of test clips that were released later, adds to what is there, as long as the clips
    there are unchanged; otherwise it makes a feature folder of its own.

    Args:
        table: The data set that the features are of.
        source: A Parquet table, a folder with one CSV or one pickled array a clip, or, with ``name``, a folder around
            such folders; see :func:`eri.features.sources.open_source`.
        features: Folder of the feature store.
        name: Of the features; None is that of the folder or file. Configs refer to it.
        modality: What they describe; None knows it of the organisers' features.
        time_unit: What times are written in; None finds out: where the median step between rows of the first hundred
            clips is 10 or more they are milliseconds (MuSe's are), otherwise seconds.
        hop: Seconds between rows where the source has no times; 1 makes them row numbers.
        missing: Rows in which a number is missing are refused, or masked, so that models pass them over.
        id_column: Of a Parquet table; None tries the usual ones.
        time_column: Of a Parquet table; None tries the usual ones.
        on_progress: Called with the number of clips read and of all.

    Raises:
        DataError: Something cannot be read, is not as its format demands, or does not fit together; the file is named.
        ConfigError: The name cannot be used, or the modality is not known.
        StoreError: The feature store cannot be written.
    """
    started = time.monotonic()
    if not hop > 0:
        raise DataError(f"hop is {hop:g}; it must be more than 0 seconds")
    opened = open_source(table, Path(source), name, id_column=id_column, time_column=time_column)
    modality = known_modality(opened.name, modality)
    identities = opened.source.identities()
    _refuse_unknown(table, opened.source, identities)
    reading = _find_out(opened.source, identities, opened.name, modality, table, time_unit, hop, missing)
    with explained(features), wait_for(features / ".claims", "import"):
        _sweep(features)
        existing = _existing(features, reading, identities)
        there = set() if existing is None else set(existing.entries(identities))
        todo = sorted(set(identities) - there)
        identity = identity_of(existing) if existing else reading.identity(digest(_content(identities)))
        staging = features / f"{_STAGING}{os.getpid()}.{secrets.token_hex(4)}.tmp"
        try:
            staged = FeatureStore(staging).folder(opened.name, identity)
            tally = _stage(opened.source, reading, staged, todo, identities, on_progress)
            folder = _keep(staged, todo, FeatureStore(features), opened.name, identity)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        for dimension in (None, reading.dimension):
            remember_config(folder, ImportedConfig(name=opened.name, modality=modality, dimension=dimension))
    return ImportReport(
        name=opened.name,
        modality=modality,
        folder=folder.path,
        added=len(todo),
        already=len(there),
        absent=len(table) - len(folder.entries(clip.id for clip in table)),
        dimension=reading.dimension,
        rows=tally[0],
        masked=tally[1],
        times=reading.times,
        seconds=time.monotonic() - started,
    )


def _refuse_unknown(table: ClipTable, source: FeatureSource, ids: Mapping[str, object]) -> None:
    unknown = [clip_id for clip_id in ids if clip_id not in table]
    if unknown:
        raise unknown_ids(str(source.path), unknown, table)


def _content(identities: Mapping[str, SourceIdentity]) -> list[list[str]]:
    return [[clip_id, identities[clip_id].digest] for clip_id in sorted(identities)]


def _find_out(
    source: FeatureSource,
    ids: Mapping[str, object],
    name: str,
    modality: Modality,
    table: ClipTable,
    stated: TimeUnit | None,
    hop: float,
    missing: Missing,
) -> _Reading:
    """Look at the first clips: what times are written in, and what the columns are."""
    found = source.sample_times(_SAMPLED)
    unit: TimeUnit = stated or (found if isinstance(found, str) else _guess_unit(source.path, found or []))
    first: RawFeatures = next(iter(source.read([min(ids)], unit)))
    return _Reading(
        name=name,
        modality=modality,
        data_set=table.name,
        time_unit=unit,
        times=f"rows of {hop:g} s" if found is None else unit,
        hop=hop,
        missing=missing,
        columns=first.columns,
        dimension=first.values.shape[1],
        guessed=stated is None and isinstance(found, list),
    )


def _guess_unit(path: Path, times: Sequence[Floats]) -> TimeUnit:
    """Find out by the median step; without any step, times of 0 are the same in both units.

    Examples:
        >>> _guess_unit(Path("FAUs"), [np.array([0.0, 500.0, 1000.0])])
        'ms'
    """
    if (unit := _likely_unit(np.concatenate([np.diff(clip) for clip in times]) if times else np.empty(0))) is not None:
        return unit
    if any(np.any(clip != 0) for clip in times):
        raise DataError(
            f"{path}: no clip has two rows at different times, so it cannot be told whether they are seconds or "
            "milliseconds",
            hint="Say so: --time-unit s or --time-unit ms.",
        )
    return "s"


def _likely_unit(steps: Floats) -> TimeUnit | None:
    steps = np.abs(steps[np.isfinite(steps) & (steps != 0)])
    if not len(steps):
        return None
    return "ms" if np.median(steps) >= _SHORTEST_STEP else "s"


def _existing(features: Path, reading: _Reading, identities: Mapping[str, SourceIdentity]) -> FeatureFolder | None:
    """Return the latest folder of these features whose clips are all unchanged, to be added to."""
    fitting = []
    for path in features.glob("*/identity.json"):
        try:
            identity = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if not isinstance(identity, dict) or identity != reading.identity(str(identity.get("source"))):
            continue
        folder = FeatureFolder(path.parent, digest(identity))
        entries = folder.entries(identities)
        if path.parent.name.endswith(folder.digest[:12]) and all(
            entry.source.digest == identities[clip_id].digest for clip_id, entry in entries.items()
        ):
            fitting.append((path.stat().st_mtime_ns, folder))
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def _stage(
    source: FeatureSource,
    reading: _Reading,
    staged: FeatureFolder,
    todo: list[str],
    identities: Mapping[str, SourceIdentity],
    on_progress: Callable[[int, int], None] | None,
) -> tuple[int, int]:
    """Read clips into a folder that no one sees yet; return how many rows they have, and how many are masked."""
    rows = masked = 0
    # Waiting for the disk takes twice as long as reading, so it is done beside it.
    with ThreadPoolExecutor(_WRITERS) as pool:
        waiting: deque[Future[object]] = deque()
        for count, raw in enumerate(_checked(source, reading, todo, identities), 1):
            sequence = to_sequence(raw, reading.modality, hop=reading.hop, missing=reading.missing)
            waiting.append(pool.submit(staged.write, raw.clip_id, sequence, raw.source))
            if len(waiting) > 2 * _WRITERS:
                waiting.popleft().result()
            rows += len(sequence.states)
            masked += int(np.count_nonzero(~sequence.mask))
            if on_progress is not None:
                on_progress(count, len(todo))
        for written in waiting:
            written.result()
    return rows, masked


def _checked(
    source: FeatureSource, reading: _Reading, todo: list[str], identities: Mapping[str, SourceIdentity]
) -> Iterator[RawFeatures]:
    left = set(todo)
    for raw in source.read(todo, reading.time_unit) if todo else ():
        left.discard(raw.clip_id)
        width = raw.values.shape[1]
        if width != reading.dimension:
            raise DataError(
                f"{raw.origin}: clip {raw.clip_id} has {width} features, clip {min(identities)} has "
                f"{reading.dimension}",
                hint="All clips must have the same features; import different ones under different names.",
            )
        if raw.columns != reading.columns:
            pairs = zip(raw.columns or (), reading.columns or (), strict=False)
            position, (here, there) = next((at, pair) for at, pair in enumerate(pairs) if pair[0] != pair[1])
            raise DataError(
                f"{raw.origin}: feature {position + 1} of clip {raw.clip_id} is '{here}', that of clip "
                f"{min(identities)} is '{there}'",
                hint="All clips must have the same features in the same order.",
            )
        _check_unit(raw, reading)
        if raw.source.digest != identities[raw.clip_id].digest:
            left.add(raw.clip_id)
            break
        yield raw
    if left:
        raise DataError(
            f"{source.path}: was changed while it was imported (clip {min(left)})", hint="Import again when it is done."
        )


def _check_unit(raw: RawFeatures, reading: _Reading) -> None:
    """Refuse a clip whose times are plainly in another unit than was guessed from the first clips."""
    if not reading.guessed or raw.times is None:
        return
    steps = np.diff(raw.times) * (1000 if reading.time_unit == "ms" else 1)
    if _likely_unit(steps) not in (None, reading.time_unit):
        raise DataError(
            f"{raw.origin}: the times of clip {raw.clip_id} do not look like {reading.time_unit}, as those of the "
            "first clips do",
            hint="Say what they are: --time-unit s or --time-unit ms.",
        )


def _keep(
    staged: FeatureFolder, todo: list[str], store: FeatureStore, name: str, identity: Mapping[str, Any]
) -> FeatureFolder:
    """Make what was staged part of the store: in one step where the folder is new, else clip by clip."""
    target = store.root / staged.path.name
    if not target.exists():
        staged.path.replace(target)
        return store.folder(name, dict(identity))
    folder = store.folder(name, dict(identity))
    for clip_id in todo:
        record = staged.read_record(clip_id)
        folder.write(clip_id, record.features, record.source, notes=record.notes)
    return folder


def _sweep(features: Path) -> None:
    """Remove what killed imports left; called under the lock of imports."""
    for path in features.glob(f"{_STAGING}*.tmp"):
        shutil.rmtree(path, ignore_errors=True)
