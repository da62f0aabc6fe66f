"""Hume-Vidmimic2, as distributed for the EMI tracks of ABAW6, ABAW8 and ABAW10; docs/data.md shows the layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from eri.config.tasks import EMI
from eri.data.adapters.listing import AUDIO_SUFFIXES, VIDEO_SUFFIXES, find_child, list_files, list_folders
from eri.data.clips import Clip, ClipTable, Split, by_id
from eri.data.rows import ClipRows, Labels, count_clips, find_id, first_ids
from eri.data.tables import Kind, Table, count_labels, read_table
from eri.utils.errors import DataError

NAME = "emi"
LOOKS_FOR = "train_split.csv and valid_split.csv (Hume-Vidmimic2)"
TEST_FOLDER = "test_data"

_TABLES: dict[str, Split] = {"train_split.csv": "train", "valid_split.csv": "val"}
_TEST_TABLES = ("test_split.csv", "test.csv")
_ID_COLUMN = "Filename"
_DIGITS = 5
_FEATURES = ("vit", "wav2vec2")

LARGEST_SUM = 1.03
"""The labels of a clip are shares of its annotators, so they add up to 1 at most; six of them, each rounded to two
decimals, may exceed that by six times .005."""

_SUM = Kind("labels that add up to more than 1", "EMI's labels are shares of annotators; check their scale.")


class _Media(NamedTuple):
    """The media of one folder, each by file name without suffix; ``raw`` is where videos are expected, if anywhere."""

    videos: Mapping[str, Path]
    faces: Mapping[str, Path]
    audio: Mapping[str, Path]
    raw: Path | None

    @classmethod
    def of(cls, folder: Path) -> _Media:
        raw, audio = find_child(folder, "raw"), find_child(folder, "audio")
        faces = list_folders(find_child(folder, "face_images"))
        videos = list_files(raw, VIDEO_SUFFIXES)
        return cls(videos, faces, list_files(audio, AUDIO_SUFFIXES), raw if raw.is_dir() else None)

    def by_id(self) -> _Media:
        """Return them by clip id; a name that is no id belongs to no clip, and one with all its zeros wins."""
        videos, faces, audio = (
            {clip_id: found[name] for name in sorted(found, key=len) if (clip_id := find_id(name, digits=_DIGITS))}
            for found in self[:3]
        )
        return _Media(videos, faces, audio, self.raw)


def matches(source: Path) -> bool:
    """Say whether a folder, or one of the data set's tables itself, is laid out this way."""
    tables = [path for path in _table_paths(source) if path.is_file()]
    return any(count_labels(path, EMI) for path in tables) or len(tables) == len(_TABLES)


def load(source: Path) -> ClipTable:
    """Read the clip table from the folder or one of its two tables.

    The test clips are those of ``test_split.csv`` or ``test.csv``, in the folder or in ``test_data/``, where there is
    such a table (its labels may be empty or missing); otherwise those that have a file or folder in ``test_data/``.
    Media need not be there: a clip has its raw video, else its folder of face images, else, where there is a folder of
    raw videos, the path that its video is expected at. Labels lie in [0, 1]; those of one clip add up to at most
    :data:`LARGEST_SUM`.
    """
    paths = _table_paths(source)
    root = paths[0].parent
    lacking = [path.name for path in paths if not path.is_file()]
    if lacking:
        raise DataError(f"{root}: has no {' and no '.join(lacking)}", hint=f"Looked for {LOOKS_FOR}.")
    labels = {split: _read_split(read_table(path), split) for path, split in zip(paths, _TABLES.values(), strict=True)}
    folders = (root, find_child(root, TEST_FOLDER))
    tables = (find_child(folder, name) for folder in folders for name in _TEST_TABLES)
    test_table = next((path for path in tables if path.is_file()), None)
    if test_table is not None:
        labels["test"] = _read_split(read_table(test_table), "test")
    else:
        labels["test"] = dict.fromkeys(_ids_of_files(folders[1]))
    for one, other in combinations(labels, 2):
        if both := set(labels[one]) & set(labels[other]):
            raise DataError(
                f"{root}: {count_clips(both)} both in {one} and in {other}: {first_ids(both)}",
                hint="Each clip belongs to one split; copy the tables and test_data/ again from one release.",
            )
    return ClipTable(NAME, root, EMI, by_id(_clips(root, labels)), _ID_COLUMN)


def _table_paths(source: Path) -> list[Path]:
    folder = source.parent if source.name.lower() in _TABLES else source
    return [find_child(folder, name) for name in _TABLES]


def _read_split(table: Table, split: Split) -> Labels:
    unlabelled = split == "test" and not set(EMI.labels) & set(table.columns)
    id_position, *label_positions = table.positions((_ID_COLUMN, *(() if unlabelled else EMI.labels)))
    rows = ClipRows(table, id_position, digits=EMI.id_digits)
    labels: Labels = dict.fromkeys(rows.index)
    if not unlabelled:
        labels |= rows.read_labels(label_positions, dict.fromkeys(rows.index, split), EMI)
    for clip_id, values in labels.items():
        if values is not None and (total := sum(values)) > LARGEST_SUM:
            rows.record(_SUM, clip_id, f"the labels add up to {total:.4g}")
    rows.problems.check()
    return labels


def _ids_of_files(folder: Path) -> list[str]:
    """Return the ids that anything in the folder of test data is named after."""
    features = (list_files(find_child(folder, name), (".pkl",)) for name in _FEATURES)
    names = {name for found in (*_Media.of(folder)[:3], *features) for name in found}
    ids = {name: find_id(name, digits=_DIGITS) for name in names}
    if strange := [name for name, clip_id in ids.items() if clip_id is None]:
        raise DataError(
            f"{folder}: {len(strange)} file name(s) that are no clip's: {first_ids(strange)}",
            hint=f"Files there are named after clips, such as 12660.mp4; move others away, or add {_TEST_TABLES[0]} "
            "with the ids of the test clips.",
        )
    return sorted({clip_id for clip_id in ids.values() if clip_id is not None})


def _clips(root: Path, labels: Mapping[Split, Labels]) -> Iterator[Clip]:
    media, test_media = (_Media.of(folder).by_id() for folder in (root, find_child(root, TEST_FOLDER)))
    for split, rows in labels.items():
        for clip_id, values in rows.items():
            # Some keep the media of all clips in one place.
            apart = split == "test" and not any(clip_id in found for found in media[:3])
            videos, faces, audio, raw = test_media if apart else media
            video = videos.get(clip_id) or faces.get(clip_id) or (raw and raw / f"{clip_id}.mp4")
            yield Clip(clip_id, split, video, audio.get(clip_id), values)
