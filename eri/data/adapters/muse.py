"""The layout that the MuSe challenges share: a table of labels, a table of partitions, and media beside them.

``labels.csv`` holds the id and the labels; ``partition.csv``, beside it or in ``metadata/``, the id in its first column
and ``train``, ``devel`` or ``test`` in its last. Both lie in the sub-challenge's own folder (``c2_muse_reaction``) or
in the folder that is given. Since all sub-challenges name their tables alike, the header of ``labels.csv`` decides
which of them it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from eri.config.tasks import ERI, MIMIC, PERCEPTION, Task
from eri.data.adapters.listing import AUDIO_SUFFIXES, VIDEO_SUFFIXES, find_child, list_files, list_folders
from eri.data.clips import Clip, ClipTable, Split
from eri.data.rows import read_ids, read_labels, read_splits, require_same_ids
from eri.data.tables import count_labels, read_table
from eri.utils.errors import DataError

SPLIT_NAMES: dict[str, Split] = {"train": "train", "devel": "val", "test": "test"}
FEATURE_FOLDERS = ("feats", "features", "feature_segments")
"""What the releases call the folder of feature folders."""

_LABELS = "labels.csv"
_PARTITION = "partition.csv"
_METADATA = "metadata"


@dataclass(frozen=True)
class SubChallenge:
    """One sub-challenge in this layout.

    Attributes:
        name: Of the data set and of its adapter.
        folder: Of its release.
        task: Its labels and ids.
        looks_for: What is recognised, for errors.
    """

    name: str
    folder: str
    task: Task
    looks_for: str


REACTION = SubChallenge(
    "hume-reaction",
    "c2_muse_reaction",
    ERI,
    "data_info.csv (ABAW5), or labels.csv and partition.csv, there or in c2_muse_reaction/ (MuSe-2022)",
)
"""MuSe-Reaction (2022); :mod:`eri.data.adapters.hume_reaction` reads it beside the data set's other layout."""

OTHERS = (
    SubChallenge(
        "mimic",
        "c1_muse_mimic",
        MIMIC,
        "labels.csv with a column Approval_ and partition.csv, there or in c1_muse_mimic/ (MuSe-2023)",
    ),
    SubChallenge(
        "perception",
        "c1_muse_perception",
        PERCEPTION,
        "labels.csv with a column assertiv and metadata/partition.csv, there or in c1_muse_perception/ (MuSe-2024)",
    ),
)
"""MuSe-Mimic (2023) and MuSe-Perception (2024)."""


@dataclass(frozen=True)
class MuseTables:
    """Where the two tables of a sub-challenge are.

    Attributes:
        folder: The sub-challenge's folder.
        labels: The table of labels.
        partition: The table of partitions.
    """

    folder: Path
    labels: Path
    partition: Path


def locate(source: Path, challenge: SubChallenge) -> MuseTables | None:
    """Find the tables of a sub-challenge; None where they are not there, or are those of another one.

    Args:
        source: The sub-challenge's folder, the folder around it, or one of the tables.
        challenge: The sub-challenge.
    """
    for folder in _candidates(source, challenge):
        tables = _tables(folder)
        if tables is not None and _recognise(tables) is challenge:
            return tables
    return None


def load(source: Path, challenge: SubChallenge) -> ClipTable:
    """Read the clip table of a sub-challenge.

    Media are not opened, and need not be there: a clip has its raw video (``mp4/`` or ``raw/``), else its folder of
    face images (``Faces/`` among the feature folders), else None. An audio file (``wav/`` or ``audio/``) is named
    only where there is one.

    Args:
        source: See :func:`locate`.
        challenge: The sub-challenge.

    Raises:
        DataError: The tables are not there, one is not as its format demands, or a clip is in one of them only.
    """
    tables = locate(source, challenge)
    if tables is None:
        raise _refusal(source, challenge)
    task = challenge.task
    id_column = task.id_column or "id"
    splits = _read_partition(tables.partition, task)
    labels = _read_labels(tables, id_column, task, splits)
    clips = sorted(_clips(tables.folder, splits, labels), key=lambda clip: clip.id)
    return ClipTable(challenge.name, tables.folder, task, tuple(clips), id_column)


def _refusal(source: Path, challenge: SubChallenge) -> DataError:
    for folder in _candidates(source, challenge):
        tables = _tables(folder)
        if tables is not None:
            return DataError(
                f"{tables.labels}: holds the labels of '{_recognise(tables).name}', not of '{challenge.name}'",
                hint="Choose that adapter, or leave the choice to eri.",
            )
        here, there = find_child(folder, _LABELS), _partition(folder)
        if here.is_file() or there.is_file():
            kept, lacking = (_LABELS, _PARTITION) if here.is_file() else (_PARTITION, _LABELS)
            return DataError(f"{folder}: has {kept} but no {lacking}", hint="The data set needs both; copy the other.")
    return DataError(
        f"{source}: does not hold the data set '{challenge.name}'", hint=f"Looked for {challenge.looks_for}."
    )


def _read_partition(path: Path, task: Task) -> dict[str, Split]:
    table = read_table(path)
    problems = table.problems()
    # The organisers' own reader goes by position: the id is the first column and the partition the last.
    rows = read_ids(table, 0, problems, digits=task.id_digits)
    splits = read_splits(table, len(table.columns) - 1, rows, SPLIT_NAMES, problems)
    problems.check()
    return splits


def _read_labels(
    tables: MuseTables, id_column: str, task: Task, splits: Mapping[str, Split]
) -> dict[str, tuple[float, ...] | None]:
    table = read_table(tables.labels)
    id_position, *label_positions = table.positions((id_column, *task.labels))
    problems = table.problems()
    rows = read_ids(table, id_position, problems, digits=task.id_digits)
    labels = read_labels(table, label_positions, rows, splits, task, problems)
    problems.check()
    require_same_ids(str(tables.labels), rows, str(tables.partition), splits)
    return labels


def _clips(folder: Path, splits: Mapping[str, Split], labels: Mapping[str, tuple[float, ...] | None]) -> Iterator[Clip]:
    faces: dict[str, Path] = {}
    for name in FEATURE_FOLDERS:
        faces |= list_folders(find_child(find_child(folder, name), "Faces"))
    raw = list_files(find_child(folder, "raw"), VIDEO_SUFFIXES) | list_files(find_child(folder, "mp4"), VIDEO_SUFFIXES)
    sounds = list_files(find_child(folder, "audio"), AUDIO_SUFFIXES) | list_files(
        find_child(folder, "wav"), AUDIO_SUFFIXES
    )
    for clip_id, split in splits.items():
        yield Clip(clip_id, split, raw.get(clip_id) or faces.get(clip_id), sounds.get(clip_id), labels[clip_id])


def _candidates(source: Path, challenge: SubChallenge) -> tuple[Path, ...]:
    if source.name.lower() in (_LABELS, _PARTITION):
        folder = source.parent
        return (folder.parent if folder.name.lower() == _METADATA else folder,)
    return find_child(source, challenge.folder), source


def _tables(folder: Path) -> MuseTables | None:
    tables = MuseTables(folder, find_child(folder, _LABELS), _partition(folder))
    return tables if tables.labels.is_file() and tables.partition.is_file() else None


def _partition(folder: Path) -> Path:
    beside = find_child(folder, _PARTITION)
    return beside if beside.is_file() else find_child(find_child(folder, _METADATA), _PARTITION)


def _recognise(tables: MuseTables) -> SubChallenge:
    """Return the sub-challenge that most of the header's labels are of.

    Where the header has none of theirs the folder's name decides, and else Hume-Reaction, the first in this layout,
    reads the table and says what it lacks.
    """
    counts = {challenge.name: count_labels(tables.labels, challenge.task) for challenge in (REACTION, *OTHERS)}
    by_folder = {challenge.folder: challenge for challenge in (REACTION, *OTHERS)}
    best = max((REACTION, *OTHERS), key=lambda challenge: counts[challenge.name])
    return best if counts[best.name] else by_folder.get(tables.folder.name.lower(), REACTION)
