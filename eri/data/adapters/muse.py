"""The layout that the MuSe challenges share, see docs/data.md: tables of labels and of partitions, media beside them.

Since all sub-challenges name their tables alike, the header of ``labels.csv`` decides which of them it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from eri.config.tasks import ERI, MIMIC, PERCEPTION, Task
from eri.data.adapters.listing import AUDIO_SUFFIXES, VIDEO_SUFFIXES, find_child, list_files, list_folders
from eri.data.clips import Clip, ClipTable, Split, by_id
from eri.data.rows import ClipRows, Labels, count_clips, first_ids
from eri.data.tables import count_labels, read_table
from eri.utils.errors import DataError

SPLIT_NAMES: dict[str, Split] = {"train": "train", "devel": "val", "test": "test"}
FEATURE_FOLDERS = ("feats", "features", "feature_segments")
"""What the releases call the folder of feature folders."""

_LABELS = "labels.csv"
_PARTITION = "partition.csv"
_METADATA = "metadata"


class SubChallenge(NamedTuple):
    """One sub-challenge in this layout: its name, the folder of its release, its labels, and what is recognised.

    A source is the sub-challenge's folder, the folder around it, or one of the tables.
    """

    name: str
    folder: str
    task: Task
    looks_for: str

    def matches(self, source: Path) -> bool:
        """Say whether the tables are there, and are not those of another sub-challenge."""
        return self._locate(source) is not None

    def load(self, source: Path) -> ClipTable:
        """Read the clip table.

        Media need not be there: a clip has its raw video (``mp4/`` or ``raw/``), else its folder of face images
        (``Faces/`` among the feature folders), else None, and an audio file (``wav/`` or ``audio/``) only where there
        is one.
        """
        tables = self._locate(source)
        if tables is None:
            raise self._refusal(source)
        id_column = self.task.id_column or "id"
        # The organisers' own reader goes by position: the id is the first column and the partition the last.
        partition = ClipRows(read_table(tables.partition), 0, digits=self.task.id_digits)
        splits = partition.read_splits(len(partition.table.columns) - 1, SPLIT_NAMES)
        partition.problems.check()
        table = read_table(tables.labels)
        id_position, *label_positions = table.positions((id_column, *self.task.labels))
        rows = ClipRows(table, id_position, digits=self.task.id_digits)
        labels = rows.read_labels(label_positions, splits, self.task)
        rows.problems.check()
        tables.require_same_ids(set(rows.index), set(splits))
        clips = by_id(_clips(tables.folder, splits, labels))
        return ClipTable(self.name, tables.folder, self.task, clips, id_column)

    def _locate(self, source: Path) -> MuseTables | None:
        found = (tables for tables in self._candidates(source) if tables.complete)
        return next((tables for tables in found if tables.challenge is self), None)

    def _candidates(self, source: Path) -> Iterator[MuseTables]:
        folders = [find_child(source, self.folder), source]
        if source.name.lower() in (_LABELS, _PARTITION):
            folder = source.parent
            folders = [folder.parent if folder.name.lower() == _METADATA else folder]
        for folder in folders:
            beside = find_child(folder, _PARTITION)
            partition = beside if beside.is_file() else find_child(find_child(folder, _METADATA), _PARTITION)
            yield MuseTables(folder, find_child(folder, _LABELS), partition)

    def _refusal(self, source: Path) -> DataError:
        for tables in self._candidates(source):
            if tables.complete:
                message = f"{tables.labels}: holds the labels of '{tables.challenge.name}', not of '{self.name}'"
                return DataError(message, hint="Choose that adapter, or leave the choice to eri.")
            if tables.labels.is_file() or tables.partition.is_file():
                kept, lacking = (_LABELS, _PARTITION) if tables.labels.is_file() else (_PARTITION, _LABELS)
                hint = "The data set needs both; copy the other."
                return DataError(f"{tables.folder}: has {kept} but no {lacking}", hint=hint)
        return DataError(f"{source}: does not hold the data set '{self.name}'", hint=f"Looked for {self.looks_for}.")


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


class MuseTables(NamedTuple):
    """Where a sub-challenge is, or should be: its folder, its table of labels and its table of partitions."""

    folder: Path
    labels: Path
    partition: Path

    @property
    def complete(self) -> bool:
        """Whether both tables are there."""
        return self.labels.is_file() and self.partition.is_file()

    @property
    def challenge(self) -> SubChallenge:
        """The sub-challenge that most of the header's labels are of.

        Where the header has none of theirs the folder's name decides, and else Hume-Reaction, the first in this layout,
        reads the table and says what it lacks.
        """
        challenges = (REACTION, *OTHERS)
        counts = [count_labels(self.labels, challenge.task) for challenge in challenges]
        if any(counts):
            return challenges[counts.index(max(counts))]
        return next((one for one in challenges if one.folder == self.folder.name.lower()), REACTION)

    def require_same_ids(self, labelled: set[str], split: set[str]) -> None:
        """Refuse, by a DataError, a clip that is in one table only."""
        sides = ((self.labels, self.partition, labelled - split), (self.partition, self.labels, split - labelled))
        parts = [f"{count_clips(ids)} of {here} not in {there}: {first_ids(ids)}" for here, there, ids in sides if ids]
        if parts:
            hint = "Every clip must be in both tables; copy them again from the same release of the data set."
            raise DataError("; ".join(parts), hint=hint)


def _clips(folder: Path, splits: Mapping[str, Split], labels: Labels) -> Iterator[Clip]:
    faces: dict[str, Path] = {}
    for name in FEATURE_FOLDERS:
        faces |= list_folders(find_child(find_child(folder, name), "Faces"))
    raw, mp4 = (list_files(find_child(folder, name), VIDEO_SUFFIXES) for name in ("raw", "mp4"))
    audio, wav = (list_files(find_child(folder, name), AUDIO_SUFFIXES) for name in ("audio", "wav"))
    videos, audio = faces | raw | mp4, audio | wav
    for clip_id, split in splits.items():
        yield Clip(clip_id, split, videos.get(clip_id), audio.get(clip_id), labels[clip_id])
