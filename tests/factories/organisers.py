"""Files of features as the organisers distribute them, in miniature."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eri.config import ImportedConfig
from eri.config.tasks import ERI, Task
from eri.data.clips import Clip, ClipTable, Split
from eri.features.folder import FeatureFolder
from eri.features.store import find_folder

Matrix = NDArray[np.floating]
NAMES = ("AU01", "AU02", "AU04")
IDS = ["00000", "00001", "00002", "00003", "00004"]
FAUS = ImportedConfig(name="FAUs", modality="visual")


def make_table(root: Path, clips: int = 6, *, task: Task = ERI, name: str = "hume-reaction") -> ClipTable:
    """Make a data set without media: clips in turn of train, val and test, with five-digit ids."""
    splits: tuple[Split, ...] = ("train", "val", "test")
    rows = [Clip(f"{number:05d}", splits[number % 3]) for number in range(clips)]
    return ClipTable(name, root, task, tuple(rows), "File_ID")


def make_values(ids: Sequence[str], *, width: int = 3, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Make a few rows of features for each clip."""
    generator = np.random.default_rng(seed)
    return {
        clip_id: generator.normal(size=(number % 4 + 1, width)).astype(np.float32) for number, clip_id in enumerate(ids)
    }


def csv_text(
    clip_id: str,
    values: Matrix,
    *,
    step: float = 500,
    names: Sequence[str] = NAMES,
    id_cell: str = "[{}]",
) -> str:
    """Return the file of one clip: File_ID,timestamp and a column a feature, times in steps from 0."""
    rows = [
        ",".join([id_cell.format(clip_id), f"{row * step:g}", *(f"{value:.9g}" for value in line)])
        for row, line in enumerate(values.tolist())
    ]
    return "\n".join([",".join(["File_ID", "timestamp", *names]), *rows]) + "\n"


def write_csvs(folder: Path, values: Mapping[str, Matrix], *, step: float = 500, names: Sequence[str] = NAMES) -> Path:
    """Write a folder of one CSV file a clip."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip_id, matrix in values.items():
        (folder / f"{clip_id}.csv").write_text(csv_text(clip_id, matrix, step=step, names=names))
    return folder


def write_pickles(folder: Path, values: Mapping[str, object]) -> Path:
    """Write a folder of one pickle a clip."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip_id, value in values.items():
        (folder / f"{clip_id}.pkl").write_bytes(pickle.dumps(value))
    return folder


def stored(features: Path, config: ImportedConfig = FAUS) -> FeatureFolder:
    """Return the features that were imported under a config's name."""
    return find_folder(features, config)


def visible(folder: Path) -> list[str]:
    """Return what is in a folder, but for the hidden files of locks."""
    return sorted(path.name for path in folder.glob("[!.]*"))
