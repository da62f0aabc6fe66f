"""The Hume-Reaction data set, as distributed for ABAW5 ERI (2023) and for MuSe-Reaction (2022).

ABAW5: ``data_info.csv`` beside ``train/``, ``val/`` and ``test/``, each with ``mp4/`` and ``wav/``.
MuSe-2022: see :mod:`eri.data.adapters.muse`.
Names of folders match in any case. Ids are numbers of five digits; ``[00042]``, ``42`` and ``42.0`` are all ``00042``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from eri.config.tasks import ERI
from eri.data.adapters import muse
from eri.data.adapters.listing import AUDIO_SUFFIXES, VIDEO_SUFFIXES, find_child, list_files
from eri.data.clips import SPLITS, Clip, ClipTable, Split
from eri.data.rows import read_ids, read_labels, read_splits
from eri.data.tables import read_table

NAME = muse.REACTION.name
LOOKS_FOR = muse.REACTION.looks_for

_ABAW5_TABLE = "data_info.csv"
_ABAW5_SPLITS: dict[str, Split] = {"Train": "train", "Val": "val", "Test": "test"}
_ID_COLUMN = "File_ID"


def matches(source: Path) -> bool:
    """Say whether a folder, or one of the data set's tables itself, is laid out as one of the two releases."""
    return _abaw5_table(source) is not None or muse.locate(source, muse.REACTION) is not None


def load(source: Path) -> ClipTable:
    """Read the clip table of either layout.

    Where both lie in one folder, ABAW5 is taken. Media are not opened, and need not be there: an ABAW5 clip has its
    expected video path in any case, and an audio file is named only where there is one.

    Args:
        source: The folder, or the path of ``data_info.csv``, ``labels.csv`` or ``partition.csv``.

    Raises:
        DataError: No layout fits, or a table is not as its format demands.
    """
    if (table := _abaw5_table(source)) is not None:
        return _load_abaw5(table)
    return muse.load(source, muse.REACTION)


def _abaw5_table(source: Path) -> Path | None:
    table = source if source.name.lower() == _ABAW5_TABLE else find_child(source, _ABAW5_TABLE)
    return table if table.is_file() else None


def _load_abaw5(path: Path) -> ClipTable:
    table = read_table(path)
    id_position, split_position, *label_positions = table.positions((_ID_COLUMN, "Split", *ERI.labels))
    problems = table.problems()
    rows = read_ids(table, id_position, problems, digits=ERI.id_digits)
    splits = read_splits(table, split_position, rows, _ABAW5_SPLITS, problems)
    labels = read_labels(table, label_positions, rows, splits, ERI, problems)
    problems.check()
    clips = sorted(_clips(path.parent, splits, labels), key=lambda clip: clip.id)
    return ClipTable(NAME, path.parent, ERI, tuple(clips), _ID_COLUMN)


def _clips(root: Path, splits: Mapping[str, Split], labels: Mapping[str, tuple[float, ...] | None]) -> Iterator[Clip]:
    folders = {split: find_child(root, split) for split in SPLITS}
    video_folders = {split: find_child(folder, "mp4") for split, folder in folders.items()}
    videos = {split: list_files(folder, VIDEO_SUFFIXES) for split, folder in video_folders.items()}
    sounds = {split: list_files(find_child(folder, "wav"), AUDIO_SUFFIXES) for split, folder in folders.items()}
    for clip_id, split in splits.items():
        video = videos[split].get(clip_id) or video_folders[split] / f"{clip_id}.mp4"
        yield Clip(clip_id, split, video, sounds[split].get(clip_id), labels[clip_id])
