"""Finding the features at a path: a folder of feature files, the folders around it, or a Parquet table; their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from eri.config import ORGANISERS_FEATURES
from eri.data.adapters.emi import TEST_FOLDER
from eri.data.adapters.listing import find_child, list_files, list_folders
from eri.data.adapters.muse import FEATURE_FOLDERS
from eri.data.clips import ClipTable
from eri.data.rows import normalise_id
from eri.features.exchange.array_folder import SUFFIX as ARRAY_SUFFIX
from eri.features.exchange.array_folder import ArrayFolder
from eri.features.exchange.csv_folder import SUFFIX as CSV_SUFFIX
from eri.features.exchange.csv_folder import CsvFolder
from eri.features.exchange.parquet import ID_COLUMN, ParquetTable, is_parquet
from eri.features.exchange.reading import FeatureSource, Modality, refuse_unknown
from eri.utils.errors import ConfigError, DataError

_HOMES = (*FEATURE_FOLDERS, TEST_FOLDER)
_LISTED = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]*")

KNOWN: MappingProxyType[str, Modality] = MappingProxyType(
    {
        **dict.fromkeys(("faus", "vggface2", "facenet512", "vit", "vit-fer"), "visual"),
        **dict.fromkeys(("egemaps", "deepspectrum", "ds", "wav2vec2", "w2v-msp", "hubert-superb"), "audio"),
    }
)
"""Modality of the features that MuSe-2022 to 2024 and EMI are distributed with, by name in lower case."""


def open_source(
    table: ClipTable, path: Path, name: str | None, *, id_column: str | None = None, time_column: str | None = None
) -> tuple[str, FeatureSource]:
    """Find the features at a path.

    Args:
        table: The data set, whose ids they must have.
        path: A Parquet table; a folder of one file per clip; or, with a name, a folder around such folders: the data
            set's own, or its folder of features. Of EMI, the folder of that name in ``test_data/`` belongs to it.
        name: Of the features; None is that of the folder or file.
        id_column: Of a Parquet table; None tries the usual ones.
        time_column: Of a Parquet table; None tries the usual ones.

    Returns:
        The name of the features, and what reads them.

    Raises:
        DataError: Nothing is there, or files that are named after no clip of the data set.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder", hint="Check the path of the features.")
    if path.is_file():
        if not is_parquet(path):
            raise DataError(
                f"{path}: is a file, but no Parquet table by its suffix",
                hint="Give the folder that holds one CSV or one pickled array per clip, or a .parquet table.",
            )
        usual = (ID_COLUMN, "id", *filter(None, (table.task.id_column, table.id_column)), "File_ID", "Filename")
        names = usual if id_column is None else (id_column,)
        source = ParquetTable(path, tuple(dict.fromkeys(names)), table.task.id_digits, time_column)
        return canonical_name(name or path.stem), source
    if id_column is not None or time_column is not None:
        raise DataError(f"{path}: is a folder; id and time columns can be named of a Parquet table only")
    homes = _homes(table, path)
    folders = _folders(path, homes, name)
    return canonical_name(name or path.resolve().name), _open_folders(table, path, folders)


def _homes(table: ClipTable, path: Path) -> list[Path]:
    """Return the folders that folders of features may stand in."""
    bases = [path, table.root] if table.root.is_relative_to(path) and table.root != path else [path]
    return [home for base in bases for home in (base, *(find_child(base, name) for name in _HOMES))]


def _folders(path: Path, homes: Sequence[Path], name: str | None) -> list[Path]:
    """Return the folders with the files: those of the name in or around the path, else the path itself."""
    if name is not None:
        found = [folder for home in homes if (folder := find_child(home, name)).is_dir()]
        if found:
            return found
    if _files(path, CSV_SUFFIX) or _files(path, ARRAY_SUFFIX):
        return [path]
    what = "no feature files (.csv or .pkl)" if name is None else f"no folder '{name}' and no feature files"
    raise DataError(
        f"{path}: has {what}", hint=_choice(sorted({name for home in homes for name in list_folders(home)}))
    )


def _choice(folders: Sequence[str]) -> str:
    if not folders:
        return "Give the folder that holds one CSV or one pickled array per clip, or a .parquet table."
    return f"Choose one of its folders with --name: {', '.join(folders[:_LISTED])}."


def _files(folder: Path, suffix: str) -> dict[str, Path]:
    return {stem: path for stem, path in list_files(folder, (suffix,)).items() if not stem.startswith(".")}


def _open_folders(table: ClipTable, path: Path, folders: Sequence[Path]) -> FeatureSource:
    by_suffix = {
        suffix: [item for folder in folders for item in _files(folder, suffix).items()]
        for suffix in (CSV_SUFFIX, ARRAY_SUFFIX)
    }
    if all(by_suffix.values()):
        raise DataError(
            f"{', '.join(map(str, folders))}: holds both .csv and .pkl files",
            hint="Give each kind a folder of its own, or another --name.",
        )
    files = _by_clip(table, folders, by_suffix[CSV_SUFFIX] or by_suffix[ARRAY_SUFFIX])
    if by_suffix[CSV_SUFFIX]:
        return CsvFolder(path, files, table.task.id_digits)
    return ArrayFolder(path, files)


def _by_clip(table: ClipTable, folders: Sequence[Path], files: Iterable[tuple[str, Path]]) -> Mapping[str, Path]:
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
    refuse_unknown(", ".join(map(str, folders)), unknown, table)
    if not by_clip:
        raise DataError(f"{', '.join(map(str, folders))}: has no feature files", hint="Copy it again.")
    return by_clip


def canonical_name(name: str) -> str:
    """Return a name as it is stored: MuSe-2022's in the organisers' case, others as they are.

    Raises:
        ConfigError: It is not safe as the name of a folder.

    Examples:
        >>> canonical_name("faus"), canonical_name("my-features")
        ('FAUs', 'my-features')
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"'{name}' is no name for features", hint="Use letters, digits, '.', '_' and '-': --name NAME."
        )
    return ORGANISERS_FEATURES.get(name.lower(), name)


def known_modality(name: str, stated: Modality | None) -> Modality:
    """Return what features describe: as stated, else by their name.

    Raises:
        ConfigError: Nothing is stated and the name is not the organisers'.

    Examples:
        >>> known_modality("eGeMAPS", None)
        'audio'
    """
    modality = stated or KNOWN.get(name.lower())
    if modality is None:
        raise ConfigError(
            f"it is not known whether features '{name}' are visual or audio",
            hint="Say so: --modality visual or --modality audio.",
        )
    return modality
