"""Importing: from other people's feature files, found at a path, to the feature store; all of them or none."""

from __future__ import annotations

import re
import shutil
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from eri.config import ORGANISERS_FEATURES, ImportedConfig
from eri.data.adapters.emi import TEST_FOLDER
from eri.data.adapters.listing import find_child, list_files, list_folders
from eri.data.adapters.muse import FEATURE_FOLDERS
from eri.data.clips import ClipTable
from eri.data.rows import normalise_id
from eri.features.exchange.clip_files import ARRAY_SUFFIX, CSV_SUFFIX, ClipFiles
from eri.features.exchange.parquet import ID_COLUMN, ParquetTable, is_parquet
from eri.features.exchange.reading import (
    FeatureSource,
    Missing,
    Modality,
    Reading,
    TimeUnit,
    plan_reading,
    refuse_unknown,
)
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
from eri.utils.errors import ConfigError, DataError
from eri.utils.files import digest, hidden_beside

Progress = Callable[[int, int], None]

_WRITERS = 8
_HOMES = (*FEATURE_FOLDERS, TEST_FOLDER)
_LISTED = 20
_SUFFIXES = (ARRAY_SUFFIX, CSV_SUFFIX)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]*")
_GIVE = "Give the folder that holds one CSV or one pickled array per clip, or a .parquet table."

_KNOWN: MappingProxyType[str, Modality] = MappingProxyType(
    {
        **dict.fromkeys(("faus", "vggface2", "facenet512", "vit", "vit-fer"), "visual"),
        **dict.fromkeys(("egemaps", "deepspectrum", "ds", "wav2vec2", "w2v-msp", "hubert-superb"), "audio"),
    }
)
"""Modality of the features that MuSe-2022 to 2024 and EMI are distributed with, by name in lower case."""


@dataclass(frozen=True)
class ImportReport:
    """What an import did."""

    name: str
    modality: Modality
    folder: Path
    added: int  # clips that this import put there
    already: int  # clips that were there with the same content
    absent: int  # clips of the data set that the folder has no features of; that is normal
    dimension: int
    rows: int  # of the clips added
    masked: int  # of these rows
    times: str  # the unit that times were taken to be written in; rows and their distance where there were none
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

    The times' unit is found out where it is not given: milliseconds, as MuSe's, where the median step between rows of
    the first hundred clips is 10 or more. Without times, rows are ``hop`` seconds apart. DataError, which names the
    file, where something cannot be read or does not fit together; ConfigError for a name that cannot be used.
    """
    started = time.monotonic()
    features = local_features(features)
    if not 0 < hop < float("inf"):
        raise DataError(f"hop is {hop:g}; it must be more than 0 seconds")
    name, opened = _open_source(table, Path(source), name, id_column=id_column, time_column=time_column)
    modality = modality or _KNOWN.get(name.lower())
    if modality is None:
        raise ConfigError(
            f"it is not known whether features '{name}' are visual or audio",
            hint="Say so: --modality visual or --modality audio.",
        )
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
    """Read clips into a folder that no one sees yet, then into the store; also return their rows and masked rows."""
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
    path = hidden_beside(features / f"{STAGING.removeprefix('.')}staging")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _open_source(
    table: ClipTable, path: Path, name: str | None, *, id_column: str | None = None, time_column: str | None = None
) -> tuple[str, FeatureSource]:
    """Find the features at a path, and return their name with what reads them.

    The path is a Parquet table, in which None looks for the usual columns; a folder of one file per clip; or, with a
    name, a folder around such folders: the data set's own, or its folder of features. Of EMI, the folder of that name
    in ``test_data/`` belongs to it. Without a name it is that of the folder or file.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder", hint="Check the path of the features.")
    if path.is_file():
        if not is_parquet(path):
            raise DataError(f"{path}: is a file, but no Parquet table by its suffix", hint=_GIVE)
        usual = (ID_COLUMN, "id", *filter(None, (table.task.id_column, table.id_column)), "File_ID", "Filename")
        names = usual if id_column is None else (id_column,)
        source = ParquetTable(path, tuple(dict.fromkeys(names)), table.task.id_digits, time_column)
        return _canonical(name or path.stem), source
    if id_column is not None or time_column is not None:
        raise DataError(f"{path}: is a folder; id and time columns can be named of a Parquet table only")
    folders = _folders(table, path, name)
    place = ", ".join(map(str, folders))
    arrays, tables = ([item for folder in folders for item in _files(folder, suffix)] for suffix in _SUFFIXES)
    if arrays and tables:
        hint = "Give each kind a folder of its own, or another --name."
        raise DataError(f"{place}: holds both .csv and .pkl files", hint=hint)
    files = _by_clip(table, place, arrays or tables)
    suffix = ARRAY_SUFFIX if arrays else CSV_SUFFIX
    return _canonical(name or path.resolve().name), ClipFiles(path, files, suffix, table.task.id_digits)


def _folders(table: ClipTable, path: Path, name: str | None) -> list[Path]:
    """Return the folders with the files: those of the name in or around the path, else the path itself."""
    bases = [path, table.root] if table.root.is_relative_to(path) and table.root != path else [path]
    homes = [home for base in bases for home in (base, *(find_child(base, name) for name in _HOMES))]
    if name is not None and (found := [child for home in homes if (child := find_child(home, name)).is_dir()]):
        return found
    if any(_files(path, suffix) for suffix in _SUFFIXES):
        return [path]
    what = "no feature files (.csv or .pkl)" if name is None else f"no folder '{name}' and no feature files"
    there = sorted({name for home in homes for name in list_folders(home)})[:_LISTED]
    hint = f"Choose one of its folders with --name: {', '.join(there)}." if there else _GIVE
    raise DataError(f"{path}: has {what}", hint=hint)


def _files(folder: Path, suffix: str) -> list[tuple[str, Path]]:
    return [(stem, path) for stem, path in list_files(folder, (suffix,)).items() if not stem.startswith(".")]


def _by_clip(table: ClipTable, place: str, files: Iterable[tuple[str, Path]]) -> Mapping[str, Path]:
    by_clip: dict[str, Path] = {}
    unknown: list[str] = []
    for stem, path in files:
        clip_id = ""
        with suppress(DataError):
            clip_id = normalise_id(stem, digits=table.task.id_digits)
        if clip_id not in table:
            unknown.append(stem)
        elif clip_id in by_clip:
            raise DataError(
                f"{path}: clip {clip_id} has another file already, {by_clip[clip_id]}", hint="Keep one of the two."
            )
        else:
            by_clip[clip_id] = path
    refuse_unknown(place, unknown, table)
    if not by_clip:
        raise DataError(f"{place}: has no feature files", hint="Copy it again.")
    return by_clip


def _canonical(name: str) -> str:
    """Return a name as it is stored: MuSe-2022's in the organisers' case, others as they are, if safe for a folder."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' is no name for features", hint="Use letters, digits, '.', '_' and '-': --name NAME."
        )
    return ORGANISERS_FEATURES.get(name.lower(), name)
