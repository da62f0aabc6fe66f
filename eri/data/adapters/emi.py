"""The Hume-Vidmimic2 data set as distributed for the EMI tracks of ABAW6, ABAW8 and ABAW10.

``train_split.csv`` and ``valid_split.csv`` beside ``raw/``, ``audio/`` and ``face_images/``; the media of the test
clips in the folders of the same names inside ``test_data/``. Names of folders match in any case. Ids are numbers of
five digits, in the tables with or without their leading zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eri.config.tasks import EMI
from eri.data.adapters.listing import AUDIO_SUFFIXES, VIDEO_SUFFIXES, find_child, list_files, list_folders
from eri.data.clips import Clip, ClipTable, Split
from eri.data.problems import Kind
from eri.data.rows import count_clips, first_ids, normalise_id, read_ids, read_labels
from eri.data.tables import Table, count_labels, read_table
from eri.utils.errors import DataError

NAME = "emi"
LOOKS_FOR = "train_split.csv and valid_split.csv (Hume-Vidmimic2)"
TEST_FOLDER = "test_data"

_TABLES: dict[str, Split] = {"train_split.csv": "train", "valid_split.csv": "val"}
_TEST_TABLES = ("test_split.csv", "test.csv")
_ID_COLUMN = "Filename"
_VIDEOS, _SOUNDS, _FACES = "raw", "audio", "face_images"
_FEATURES = ("vit", "wav2vec2")

LARGEST_SUM = 1.03
"""The labels of a clip are shares of its annotators, so they add up to 1 at most; six of them, each rounded to two
decimals, may exceed that by six times .005."""

_SUM = Kind("labels that add up to more than 1", "EMI's labels are shares of annotators; check their scale.")


@dataclass(frozen=True)
class _Media:
    """The media of one folder, each by clip id."""

    videos: Mapping[str, Path]
    faces: Mapping[str, Path]
    sounds: Mapping[str, Path]
    expected: Path | None

    @classmethod
    def of(cls, folder: Path) -> _Media:
        raw = find_child(folder, _VIDEOS)
        return cls(
            videos=_by_id(list_files(raw, VIDEO_SUFFIXES)),
            faces=_by_id(list_folders(find_child(folder, _FACES))),
            sounds=_by_id(list_files(find_child(folder, _SOUNDS), AUDIO_SUFFIXES)),
            expected=raw if raw.is_dir() else None,
        )

    def __contains__(self, clip_id: str) -> bool:
        return clip_id in self.videos or clip_id in self.faces or clip_id in self.sounds

    def clip(self, clip_id: str, split: Split, labels: tuple[float, ...] | None) -> Clip:
        video = self.videos.get(clip_id) or self.faces.get(clip_id)
        if video is None and self.expected is not None:
            video = self.expected / f"{clip_id}.mp4"
        return Clip(clip_id, split, video, self.sounds.get(clip_id), labels)


def matches(source: Path) -> bool:
    """Say whether a folder, or one of the data set's tables itself, is laid out this way."""
    tables = [path for path in _table_paths(source) if path.is_file()]
    return any(count_labels(path, EMI) for path in tables) or len(tables) == len(_TABLES)


def load(source: Path) -> ClipTable:
    """Read the clip table.

    The test clips are those of ``test_split.csv`` or ``test.csv``, in the folder or in ``test_data/``, where there is
    such a table (its labels may be empty or missing); otherwise those that have a file or folder in ``test_data/``.
    Media are not opened, and need not be there: a clip has its raw video, else its folder of face images, else, where
    there is a folder of raw videos, the path that its video is expected at. Labels must lie in [0, 1], and those of one
    clip add up to at most :data:`LARGEST_SUM`.

    Args:
        source: The folder, or the path of ``train_split.csv`` or ``valid_split.csv``.

    Raises:
        DataError: The layout does not fit, a table is not as its format demands, or a clip is in two splits.
    """
    paths = _table_paths(source)
    root = paths[0].parent
    lacking = [path.name for path in paths if not path.is_file()]
    if lacking:
        raise DataError(f"{root}: has no {' and no '.join(lacking)}", hint=f"Looked for {LOOKS_FOR}.")
    labels: dict[Split, dict[str, tuple[float, ...] | None]] = {}
    for path, split in zip(paths, _TABLES.values(), strict=True):
        labels[split] = _read_split(read_table(path), split)
    test_table = _test_table(root)
    labels["test"] = (
        dict.fromkeys(_ids_of_files(find_child(root, TEST_FOLDER)))
        if test_table is None
        else _read_split(read_table(test_table), "test")
    )
    _refuse_overlap(root, labels)
    return ClipTable(NAME, root, EMI, tuple(sorted(_clips(root, labels), key=lambda clip: clip.id)), _ID_COLUMN)


def _table_paths(source: Path) -> list[Path]:
    folder = source.parent if source.name.lower() in _TABLES else source
    return [find_child(folder, name) for name in _TABLES]


def _test_table(root: Path) -> Path | None:
    folders = (root, find_child(root, TEST_FOLDER))
    found = (find_child(folder, name) for folder in folders for name in _TEST_TABLES)
    return next((path for path in found if path.is_file()), None)


def _read_split(table: Table, split: Split) -> dict[str, tuple[float, ...] | None]:
    unlabelled = split == "test" and not set(EMI.labels) & set(table.columns)
    id_position, *label_positions = table.positions((_ID_COLUMN, *(() if unlabelled else EMI.labels)))
    problems = table.problems()
    rows = read_ids(table, id_position, problems, digits=EMI.id_digits)
    labels: dict[str, tuple[float, ...] | None] = dict.fromkeys(rows)
    if not unlabelled:
        labels |= read_labels(table, label_positions, rows, dict.fromkeys(rows, split), EMI, problems)
    for clip_id, values in labels.items():
        if values is not None and (total := sum(values)) > LARGEST_SUM:
            problems.add(_SUM, table.lines[rows[clip_id]], f"clip {clip_id}: the labels add up to {total:.4g}")
    problems.check()
    return labels


def _ids_of_files(folder: Path) -> list[str]:
    """Return the ids that anything in the folder of test data is named after."""
    names = {
        *list_files(find_child(folder, _VIDEOS), VIDEO_SUFFIXES),
        *list_files(find_child(folder, _SOUNDS), AUDIO_SUFFIXES),
        *list_folders(find_child(folder, _FACES)),
    }
    for name in _FEATURES:
        names |= set(list_files(find_child(folder, name), (".pkl",)))
    ids = {name: _clip_id(name) for name in names}
    if strange := [name for name, clip_id in ids.items() if clip_id is None]:
        raise DataError(
            f"{folder}: {len(strange)} file name(s) that are no clip's: {first_ids(strange)}",
            hint=f"Files there are named after clips, such as 12660.mp4; move others away, or add {_TEST_TABLES[0]} "
            "with the ids of the test clips.",
        )
    return sorted({clip_id for clip_id in ids.values() if clip_id is not None})


def _clip_id(name: str) -> str | None:
    try:
        return normalise_id(name, digits=EMI.id_digits)
    except DataError:
        return None


def _by_id(found: Mapping[str, Path]) -> dict[str, Path]:
    """Return paths by clip id; a name that is no id belongs to no clip, and one with all its zeros wins."""
    ids = {name: _clip_id(name) for name in sorted(found, key=len)}
    return {clip_id: found[name] for name, clip_id in ids.items() if clip_id is not None}


def _refuse_overlap(root: Path, labels: Mapping[Split, Mapping[str, object]]) -> None:
    splits: Sequence[Split] = tuple(labels)
    for position, one in enumerate(splits):
        for other in splits[position + 1 :]:
            if both := set(labels[one]) & set(labels[other]):
                raise DataError(
                    f"{root}: {count_clips(both)} both in {one} and in {other}: {first_ids(both)}",
                    hint="Each clip belongs to one split; copy the tables and test_data/ again from one release.",
                )


def _clips(root: Path, labels: Mapping[Split, Mapping[str, tuple[float, ...] | None]]) -> Iterator[Clip]:
    media, test_media = _Media.of(root), _Media.of(find_child(root, TEST_FOLDER))
    for split, rows in labels.items():
        for clip_id, values in rows.items():
            # Some keep the media of all clips in one place.
            apart = split == "test" and clip_id not in media
            yield (test_media if apart else media).clip(clip_id, split, values)
