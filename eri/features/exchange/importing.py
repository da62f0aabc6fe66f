"""Importing: from other people's feature files to the feature store, all of them or none."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eri.config import ImportedConfig
from eri.data.clips import ClipTable
from eri.features.exchange.discovery import known_modality, open_source
from eri.features.exchange.reading import Missing, Modality, Reading, TimeUnit, plan_reading
from eri.features.folder import FeatureFolder
from eri.features.locks import wait_for_lock
from eri.features.problems import explained
from eri.features.store import (
    STAGING,
    FeatureStore,
    identity_of,
    local_features,
    open_folder,
    read_json,
    recorded_configs,
    remember_config,
)
from eri.utils.errors import DataError
from eri.utils.files import digest

Progress = Callable[[int, int], None]

_WRITERS = 8


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
    on_progress: Progress | None = None,
) -> ImportReport:
    """Put features that someone else computed into the feature store, where training finds them like extracted ones.

    Everything is read and checked before anything is kept. Clips without features are normal. A later import of the
    same features, such as those of test clips that were released later, adds to what is there, as long as the clips
    there are unchanged; otherwise it makes a feature folder of its own.

    Args:
        table: The data set that the features are of.
        source: A Parquet table, a folder with one CSV or one pickled array per clip, or, with ``name``, a folder around
            such folders; see :func:`eri.features.exchange.discovery.open_source`.
        features: Folder or URL of the feature store.
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
    features = local_features(features)
    if not 0 < hop < float("inf"):
        raise DataError(f"hop is {hop:g}; it must be more than 0 seconds")
    name, opened = open_source(table, Path(source), name, id_column=id_column, time_column=time_column)
    modality = known_modality(name, modality)
    reading = plan_reading(table, opened, name, modality, time_unit=time_unit, hop=hop, missing=missing)
    with explained(features), wait_for_lock(features / ".claims", "import"):
        existing = _existing(features, reading)
        there = set() if existing is None else set(existing.entries(reading.contents))
        identity = reading.identity() if existing is None else identity_of(existing)
        added = sorted(set(reading.contents) - there)
        folder, rows, masked = _add(features, reading, identity, added, on_progress)
        for dimension in (None, reading.dimension):
            remember_config(folder, ImportedConfig(name=name, modality=modality, dimension=dimension))
        folder.finish()
    return ImportReport(
        name=name,
        modality=modality,
        folder=folder.path,
        added=len(added),
        already=len(there),
        absent=len(table) - len(folder.entries(clip.id for clip in table)),
        dimension=reading.dimension,
        rows=rows,
        masked=masked,
        times=reading.times,
        seconds=time.monotonic() - started,
    )


def _existing(features: Path, reading: Reading) -> FeatureFolder | None:
    """Return the latest folder of these features whose clips are all unchanged, to be added to."""
    fitting = []
    for path in features.glob("*/identity.json"):
        identity = read_json(path)
        if not isinstance(identity, dict) or identity != reading.identity(str(identity.get("source"))):
            continue
        folder = open_folder(path.parent, digest(identity))
        entries = folder.entries(reading.contents)
        if path.parent.name.endswith(folder.digest[:12]) and all(
            entry.source.sha256 == reading.contents[clip_id].sha256 for clip_id, entry in entries.items()
        ):
            orders = [order for _, order in recorded_configs(path.parent).values()]
            fitting.append((max(orders, default=(0, 0, "")), folder))
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def _add(
    features: Path, reading: Reading, identity: dict[str, Any], clip_ids: Sequence[str], on_progress: Progress | None
) -> tuple[FeatureFolder, int, int]:
    """Read clips into a folder that no one sees yet, then into the store.

    Returns:
        The feature folder, how many rows the clips have, and how many of those are masked.
    """
    with _staging(features) as staging:
        staged = FeatureStore(staging).folder(reading.name, identity)
        rows, masked = _stage(reading, staged, clip_ids, on_progress)
        target = features / staged.path.name
        if not target.exists():
            staged.path.replace(target)
            return FeatureStore(features).folder(reading.name, identity), rows, masked
        folder = FeatureStore(features).folder(reading.name, identity)
        for clip_id in clip_ids:
            record = staged.read_record(clip_id)
            folder.write(clip_id, record, record.source, notes=record.notes)
    return folder, rows, masked


def _stage(
    reading: Reading, staged: FeatureFolder, clip_ids: Collection[str], on_progress: Progress | None
) -> tuple[int, int]:
    rows = masked = 0
    # Waiting for the disk takes twice as long as reading, so it is done beside it.
    with ThreadPoolExecutor(_WRITERS) as pool:
        waiting: deque[Future[object]] = deque()
        for count, (raw, sequence) in enumerate(reading.sequences(clip_ids), 1):
            waiting.append(pool.submit(staged.write, raw.clip_id, sequence, raw.source))
            if len(waiting) > 2 * _WRITERS:
                waiting.popleft().result()
            rows += len(sequence.states)
            masked += int(np.count_nonzero(~sequence.mask))
            if on_progress is not None:
                on_progress(count, len(clip_ids))
        for written in waiting:
            written.result()
    return rows, masked


@contextmanager
def _staging(features: Path) -> Iterator[Path]:
    """Make a folder for the time of the block, and remove what killed imports left; called under their lock."""
    for left in features.glob(f"{STAGING}*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    path = features / f"{STAGING}{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
