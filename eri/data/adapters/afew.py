"""Acted Facial Expressions in the Wild (AFEW), as distributed for EmotiW; docs/data-sets.md shows the layout.

The release names no subjects, so clips of one actor or film are kept together by the official split only. File names
are times in a film and may recur in another, so ids are made of the split, the class and the name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eri.config.tasks import Task
from eri.data.adapters.expressions import find_class, make_id, record_unknown, visible_files, visible_folders
from eri.data.adapters.listing import VIDEO_SUFFIXES, find_folder
from eri.data.clips import Clip, ClipTable, Split, by_id
from eri.data.tables import Problems
from eri.utils.errors import DataError, SplitError

NAME = "afew"
LOOKS_FOR = "Train_AFEW/Angry and Val_AFEW/Angry, or Train/Angry and Val/Angry (AFEW)"
TASK = Task.of_classes(NAME, ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"))

_LABELLED: dict[Split, tuple[str, ...]] = {
    "train": ("Train_AFEW", "Train", "Train_AFEW/Train_AFEW"),
    "val": ("Val_AFEW", "Val", "Val_AFEW/Val_AFEW"),
}
_TEST = ("Test_vid_Distribute", "Test_AFEW", "Test")


def matches(source: Path) -> bool:
    """Say whether a folder holds a split with folders of classes."""
    return any(_folder(source, split) is not None for split in _LABELLED)


def load(source: Path) -> ClipTable:
    """Read the clip table from the folder that holds the splits, of which the two labelled ones must be there."""
    folders = {split: _folder(source, split) for split in _LABELLED}
    if not any(folders.values()):
        raise DataError(f"{source}: does not hold the data set '{NAME}'", hint=f"Looked for {LOOKS_FOR}.")
    problems = Problems(source, "folder")
    clips: list[Clip] = []
    for split, folder in folders.items():
        if folder is None:
            hint = "Unpack the archives of both labelled splits side by side."
            raise SplitError(f"{source}: has no folder {_LABELLED[split][0]} with classes", hint=hint)
        clips += _clips(source, folder, split, problems)
    problems.check()
    if (test := find_folder(source, *_TEST)) is not None:
        unlabelled = visible_files(test, VIDEO_SUFFIXES)
        clips += [Clip(make_id("Test", name), "test", path) for name, path in unlabelled.items()]
    return ClipTable(NAME, source, TASK, by_id(clips))


def _folder(source: Path, split: Split) -> Path | None:
    """Return the first folder of a split that holds a class."""
    folders = filter(None, (find_folder(source, chain) for chain in _LABELLED[split]))
    return next((folder for folder in folders if any(find_class(name, TASK) for name in visible_folders(folder))), None)


def _clips(source: Path, folder: Path, split: Split, problems: Problems) -> Iterator[Clip]:
    for name, home in visible_folders(folder).items():
        label, videos = find_class(name, TASK), visible_files(home, VIDEO_SUFFIXES)
        if label is None and videos:
            record_unknown(problems, home.relative_to(source).as_posix(), name, TASK)
        elif label is not None:
            for stem, path in videos.items():
                yield Clip(make_id(split.capitalize(), label, stem), split, path, labels=TASK.one_hot(label))
