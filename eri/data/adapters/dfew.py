"""Dynamic Facial Expression in the Wild (DFEW) with its five official folds; docs/data-sets.md shows the layout.

A clip is held out by one fold and trained on by the four others. The folds are the table's ``folds``; its splits are
those of the first one: its training clips are ``train`` and its test clips ``val``. The data set names no subjects.
Clips without a single label are in no list and passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from eri.config.tasks import Task
from eri.data.adapters.expressions import CONFLICT, UNKNOWN_CLASS, visible_folders
from eri.data.adapters.listing import VIDEO_SUFFIXES, find_child, find_folder, list_files
from eri.data.clips import Clip, ClipTable, Split
from eri.data.rows import ClipRows, count_clips, find_id, first_ids
from eri.data.tables import Problems, read_table
from eri.utils.errors import DataError, SplitError

NAME = "dfew"
LOOKS_FOR = "EmoLabel_DataSplit/train(single-labeled)/set_1.csv (DFEW)"
TASK = Task.of_classes(NAME, ("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear"))
"""In the order of the labels 1 to 7."""

FOLDS = ("1", "2", "3", "4", "5")
CLIP_FOLDERS = ("original", "clip_224x224", "clip_224x224_avi", "clip_224x224_16f")
"""The first of these that is there is read, unless one of them is given itself."""

_LISTS, _CLIPS = "EmoLabel_DataSplit", "Clip"
_DIGITS = 5
_Lists = Mapping[tuple[str, str], Mapping[str, str]]  # the class of each clip, by part and fold
_CODES = {str(place): label for place, label in enumerate(TASK.labels, start=1)}


def matches(source: Path) -> bool:
    """Say whether a folder, or the folder of its clips that is given, belongs to a list of a fold."""
    return any(path.is_file() for path in _list_paths(_root(source)).values())


def load(source: Path) -> ClipTable:
    """Read the clip table with the official folds from the folder that holds ``EmoLabel_DataSplit`` and ``Clip``.

    To choose among the folders of clips, one of :data:`CLIP_FOLDERS` in it may be given. Media need not be there.
    """
    root = _root(source)
    paths = _list_paths(root)
    lacking = [path for path in paths.values() if not path.is_file()]
    if len(lacking) == len(paths):
        raise DataError(f"{source}: does not hold the data set '{NAME}'", hint=f"Looked for {LOOKS_FOR}.")
    if lacking:
        more = f", and {len(lacking) - 1} more lists" if len(lacking) > 1 else ""
        hint = "All five folds, train and test, are needed; unpack EmoLabel_DataSplit again."
        raise SplitError(f"{lacking[0]}: no such file{more}", hint=hint)
    lists = {key: _read_list(path) for key, path in paths.items()}
    labels = _join_labels(root, lists)
    folds = _join_folds(root, lists)
    splits: dict[str, Split] = {clip_id: "val" if fold == FOLDS[0] else "train" for clip_id, fold in folds.items()}
    home, media = _find_media(source, root)
    clips = tuple(
        Clip(clip_id, splits[clip_id], media.get(clip_id, home / clip_id), labels=TASK.one_hot(label))
        for clip_id, label in sorted(labels.items())
    )
    return ClipTable(NAME, root, TASK, clips, "video_name", folds=folds)


def _root(source: Path) -> Path:
    inside = source.name.lower() in CLIP_FOLDERS and source.parent.name.lower() == _CLIPS.lower()
    return source.parent.parent if inside else source


def _list_paths(root: Path) -> dict[tuple[str, str], Path]:
    """Return where each list should be, by part and fold."""
    folder = find_child(root, _LISTS)
    parts = {part: find_child(folder, f"{part}(single-labeled)") for part in ("train", "test")}
    return {(part, fold): find_child(parts[part], f"set_{fold}.csv") for fold in FOLDS for part in parts}


def _read_list(path: Path) -> dict[str, str]:
    """Return the class of each clip of one list."""
    table = read_table(path)
    id_position, label_position = table.positions(("video_name", "label"))
    rows = ClipRows(table, id_position, digits=_DIGITS)
    codes = rows.cells(label_position)
    for clip_id, code in codes.items():
        if code not in _CODES:
            rows.record(UNKNOWN_CLASS, clip_id, f"label is '{code}'; known: 1 to 7")
    rows.problems.check()
    return {clip_id: _CODES[code] for clip_id, code in codes.items()}


def _join_labels(root: Path, lists: _Lists) -> dict[str, str]:
    """Return the class of each clip, which all lists must agree on."""
    joined: dict[str, str] = {}
    problems = Problems(find_child(root, _LISTS), "list")
    for (part, fold), labels in lists.items():
        for clip_id, label in labels.items():
            if joined.setdefault(clip_id, label) != label:
                place = f"{part}(single-labeled)/set_{fold}.csv"
                problems.add(CONFLICT, place, f"clip {clip_id} is {label}, but {joined[clip_id]} in another list")
    problems.check()
    return joined


def _join_folds(root: Path, lists: _Lists) -> dict[str, str]:
    """Return the fold that holds each clip out; each must be tested by one fold and trained on by the others."""
    folder = find_child(root, _LISTS)
    folds: dict[str, str] = {}
    for fold in FOLDS:
        tested = lists["test", fold]
        if again := [clip_id for clip_id in tested if clip_id in folds]:
            raise _misfit(folder, again, f"in the test lists of set_{folds[again[0]]} and set_{fold}")
        if both := set(tested) & set(lists["train", fold]):
            raise _misfit(folder, both, f"in both lists of set_{fold}, train and test")
        folds |= dict.fromkeys(tested, fold)
    for fold in FOLDS:
        trained = set(lists["train", fold])
        if unknown := trained - set(folds):
            raise _misfit(folder, unknown, f"in the training list of set_{fold} but in no test list")
        if lost := set(folds) - trained - set(lists["test", fold]):
            raise _misfit(folder, lost, f"in no list of set_{fold}")
    return folds


def _misfit(folder: Path, ids: Collection[str], where: str) -> SplitError:
    hint = "Each fold tests every fifth clip and trains on the others; copy the lists again from one release."
    return SplitError(f"{folder}: {count_clips(ids)} {where}: {first_ids(ids)}", hint=hint)


def _find_media(source: Path, root: Path) -> tuple[Path, dict[str, Path]]:
    """Return the folder of clips, and the videos and folders of images that are in it, by clip id."""
    home = source if source != root else find_folder(find_child(root, _CLIPS), *CLIP_FOLDERS)
    if home is None:
        home = root / _CLIPS / CLIP_FOLDERS[0]
    folders = visible_folders(home)
    found: dict[str, Path] = {}
    for folder in (home, *(path for name, path in folders.items() if find_id(name, digits=_DIGITS) is None)):
        found = list_files(folder, VIDEO_SUFFIXES) | found
    found |= folders
    return home, {clip_id: path for name, path in found.items() if (clip_id := find_id(name, digits=_DIGITS))}
