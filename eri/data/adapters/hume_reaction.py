"""Hume-Reaction, as distributed for ABAW5 ERI (2023) and MuSe-Reaction (2022); docs/data.md shows both layouts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from eri.config.tasks import ERI
from eri.data.adapters import muse
from eri.data.adapters.listing import AUDIO_SUFFIXES, VIDEO_SUFFIXES, find_child, list_files
from eri.data.clips import SPLITS, Clip, ClipTable, Split, by_id
from eri.data.rows import ClipRows, Labels
from eri.data.tables import read_table
from eri.utils.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

NAME = muse.REACTION.name
LOOKS_FOR = muse.REACTION.looks_for

_ABAW5_TABLE = "data_info.csv"
_ABAW5_SPLITS: dict[str, Split] = {"Train": "train", "Val": "val", "Test": "test"}
_ID_COLUMN = "File_ID"
_AGES = ("under 20", "20 to 29", "30 to 39", "40 to 49", "50 and over")


def matches(source: Path) -> bool:
    """Say whether a folder, or one of the data set's tables itself, is laid out as one of the two releases."""
    return _abaw5_table(source) is not None or muse.REACTION.matches(source)


def load(source: Path) -> ClipTable:
    """Read the clip table of either layout; where both lie in one folder, of ABAW5.

    Media need not be there: an ABAW5 clip has its expected video path in any case, and an audio file is named only
    where there is one.
    """
    path = _abaw5_table(source)
    if path is None:
        return muse.REACTION.load(source)
    table = read_table(path)
    id_position, split_position, *label_positions = table.positions((_ID_COLUMN, "Split", *ERI.labels))
    rows = ClipRows(table, id_position, digits=ERI.id_digits)
    splits = rows.read_splits(split_position, _ABAW5_SPLITS)
    labels = rows.read_labels(label_positions, splits, ERI)
    rows.problems.check()
    return ClipTable(NAME, path.parent, ERI, by_id(_clips(path.parent, splits, labels)), _ID_COLUMN)


def _abaw5_table(source: Path) -> Path | None:
    table = source if source.name.lower() == _ABAW5_TABLE else find_child(source, _ABAW5_TABLE)
    return table if table.is_file() else None


def _clips(root: Path, splits: Mapping[str, Split], labels: Labels) -> Iterator[Clip]:
    folders = {split: find_child(root, split) for split in SPLITS}
    video_folders = {split: find_child(folder, "mp4") for split, folder in folders.items()}
    videos = {split: list_files(folder, VIDEO_SUFFIXES) for split, folder in video_folders.items()}
    audio = {split: list_files(find_child(folder, "wav"), AUDIO_SUFFIXES) for split, folder in folders.items()}
    for clip_id, split in splits.items():
        video = videos[split].get(clip_id) or video_folders[split] / f"{clip_id}.mp4"
        yield Clip(clip_id, split, video, audio[split].get(clip_id), labels[clip_id])


def read_attributes(table: ClipTable) -> pd.DataFrame:
    """Read the country and the age band of whom every clip shows, where the data set gives them: only ABAW5 does.

    Returns columns ``country`` and ``age``, or none, and the index ``clip_id`` in the table's order. A cell that says
    nothing is the empty string.
    """
    import pandas as pd

    ids = [clip.id for clip in table]
    frame = pd.DataFrame(index=pd.Index(ids, name="clip_id", dtype=object))
    try:
        source = read_table(table.root / _ABAW5_TABLE)
        id_position, age, country = source.positions((table.id_column, "Age", "Country"))
    except DataError:
        return frame
    cells = {row[id_position].strip('"[]').zfill(table.task.id_digits or 0): row for row in source.rows}
    found = [cells.get(clip_id) for clip_id in ids]
    frame["country"] = ["" if row is None else row[country] for row in found]
    years = pd.to_numeric(["" if row is None else row[age] for row in found], errors="coerce")
    bands = pd.cut(years, [-math.inf, 20, 30, 40, 50, math.inf], right=False, labels=_AGES)
    frame["age"] = ["" if pd.isna(band) else band for band in bands]
    return frame
