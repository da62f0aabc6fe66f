"""The Hume-Reaction data set, as distributed for ABAW5 ERI (2023) and for MuSe-Reaction (2022).

ABAW5: ``data_info.csv`` beside ``train/``, ``val/`` and ``test/``, each with ``mp4/`` and ``wav/``.
MuSe-2022: ``labels.csv`` and ``partition.csv`` beside ``feats/``, in ``c2_muse_reaction/`` or in the folder itself.
Names of folders match in any case. Ids are numbers of five digits; ``[00042]``, ``42`` and ``42.0`` are all ``00042``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from eri.data.clips import SPLITS, Clip, ClipTable, Split
from eri.data.listing import AUDIO_SUFFIXES, VIDEO_SUFFIXES, find_child, list_files, list_folders
from eri.data.rows import read_ids, read_labels, read_splits, require_same_ids
from eri.data.tables import read_table
from eri.errors import DataError
from eri.tasks import ERI

NAME = "hume-reaction"
LOOKS_FOR = "data_info.csv (ABAW5), or labels.csv and partition.csv, there or in c2_muse_reaction/ (MuSe-2022)"
ID_COLUMN = "File_ID"
ID_DIGITS = 5

_ABAW5_TABLE = "data_info.csv"
_ABAW5_SPLITS: dict[str, Split] = {"Train": "train", "Val": "val", "Test": "test"}
_MUSE_TABLES = ("labels.csv", "partition.csv")
_MUSE_FOLDER = "c2_muse_reaction"
_MUSE_SPLITS: dict[str, Split] = {"train": "train", "devel": "val", "test": "test"}


def matches(source: Path) -> bool:
    """Say whether a folder, or one of the data set's tables itself, is laid out as one of the two releases."""
    return _abaw5_table(source) is not None or _muse_folder(source) is not None


def load(source: Path) -> ClipTable:
    """Read the clip table of either layout.

    Where both lie in one folder, ABAW5 is taken. Media are not opened, and need not be there: an ABAW5 clip has its
    expected video path in any case; a clip of MuSe-2022 has its raw video (``mp4/`` or ``raw/``), else its folder of
    face pictures, else None. An audio file is named only where there is one.

    Args:
        source: The folder, or the path of ``data_info.csv``, ``labels.csv`` or ``partition.csv``.

    Raises:
        DataError: No layout fits, or a table is not as its format demands.
    """
    if (table := _abaw5_table(source)) is not None:
        return _load_abaw5(table)
    if (folder := _muse_folder(source)) is not None:
        return _load_muse(folder)
    for folder in (source, find_child(source, _MUSE_FOLDER)):
        there = [name for name in _MUSE_TABLES if find_child(folder, name).is_file()]
        if there:
            lacking = next(name for name in _MUSE_TABLES if name not in there)
            raise DataError(
                f"{folder}: has {there[0]} but no {lacking}", hint="MuSe-2022 needs both; copy the other one."
            )
    raise DataError(f"{source}: does not hold the Hume-Reaction data set", hint=f"Looked for {LOOKS_FOR}.")


def _abaw5_table(source: Path) -> Path | None:
    table = source if source.name.lower() == _ABAW5_TABLE else find_child(source, _ABAW5_TABLE)
    return table if table.is_file() else None


def _muse_folder(source: Path) -> Path | None:
    if source.name.lower() in _MUSE_TABLES:
        source = source.parent
    for folder in (find_child(source, _MUSE_FOLDER), source):
        if all(find_child(folder, name).is_file() for name in _MUSE_TABLES):
            return folder
    return None


def _load_abaw5(path: Path) -> ClipTable:
    table = read_table(path)
    id_position, split_position, *label_positions = table.positions((ID_COLUMN, "Split", *ERI.labels))
    problems = table.problems()
    rows = read_ids(table, id_position, problems, digits=ID_DIGITS)
    splits = read_splits(table, split_position, rows, _ABAW5_SPLITS, problems)
    labels = read_labels(table, label_positions, rows, splits, ERI, problems)
    problems.check()
    return _table(path.parent, _abaw5_clips(path.parent, splits, labels))


def _abaw5_clips(
    root: Path, splits: Mapping[str, Split], labels: Mapping[str, tuple[float, ...] | None]
) -> Iterator[Clip]:
    folders = {split: find_child(root, split) for split in SPLITS}
    video_folders = {split: find_child(folder, "mp4") for split, folder in folders.items()}
    videos = {split: list_files(folder, VIDEO_SUFFIXES) for split, folder in video_folders.items()}
    sounds = {split: list_files(find_child(folder, "wav"), AUDIO_SUFFIXES) for split, folder in folders.items()}
    for clip_id, split in splits.items():
        video = videos[split].get(clip_id) or video_folders[split] / f"{clip_id}.mp4"
        yield Clip(clip_id, split, video, sounds[split].get(clip_id), labels[clip_id])


def _load_muse(folder: Path) -> ClipTable:
    label_path, partition_path = (find_child(folder, name) for name in _MUSE_TABLES)
    partition = read_table(partition_path)
    problems = partition.problems()
    # The organisers' own reader goes by position: the id is the first column and the partition the last.
    partition_rows = read_ids(partition, 0, problems, digits=ID_DIGITS)
    splits = read_splits(partition, len(partition.columns) - 1, partition_rows, _MUSE_SPLITS, problems)
    problems.check()
    table = read_table(label_path)
    id_position, *label_positions = table.positions((ID_COLUMN, *ERI.labels))
    problems = table.problems()
    rows = read_ids(table, id_position, problems, digits=ID_DIGITS)
    labels = read_labels(table, label_positions, rows, splits, ERI, problems)
    problems.check()
    require_same_ids(str(label_path), rows, str(partition_path), splits)
    return _table(folder, _muse_clips(folder, splits, labels))


def _muse_clips(
    folder: Path, splits: Mapping[str, Split], labels: Mapping[str, tuple[float, ...] | None]
) -> Iterator[Clip]:
    faces = list_folders(find_child(find_child(folder, "feats"), "Faces"))
    raw = list_files(find_child(folder, "raw"), VIDEO_SUFFIXES) | list_files(find_child(folder, "mp4"), VIDEO_SUFFIXES)
    sounds = list_files(find_child(folder, "wav"), AUDIO_SUFFIXES)
    for clip_id, split in splits.items():
        yield Clip(clip_id, split, raw.get(clip_id) or faces.get(clip_id), sounds.get(clip_id), labels[clip_id])


def _table(root: Path, clips: Iterator[Clip]) -> ClipTable:
    return ClipTable(NAME, root, ERI, tuple(sorted(clips, key=lambda clip: clip.id)), ID_COLUMN)
