"""DAiSEE: learners in front of a screen, with levels of engagement; docs/data-sets.md shows the layout."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from eri.config.tasks import Task
from eri.data.adapters.expressions import CONFLICT, NO_SUBJECT, UNKNOWN_CLASS
from eri.data.adapters.listing import VIDEO_SUFFIXES, find_child, find_folder, list_files
from eri.data.clips import Clip, ClipTable, Split, by_id
from eri.data.rows import count_clips, first_ids
from eri.data.tables import Table, read_table
from eri.utils.errors import ConflictingLabelsError, DataError, SplitError

NAME = "daisee"
LOOKS_FOR = "Labels/TrainLabels.csv and DataSet/ (DAiSEE)"
TASK = Task.of_classes(NAME, ("very low", "low", "high", "very high"))
"""Levels 0 to 3 of engagement, in the words of the data set's paper."""

ENGAGEMENT = Task("daisee-engagement", ("Engagement",))
"""The level as a number: 0, 1/3, 2/3 or 1."""

_SPLITS: dict[Split, str] = {"train": "Train", "val": "Validation", "test": "Test"}
_LABELS, _MEDIA = "Labels", "DataSet"
_CLIP = re.compile(r"\d{6}\d+")
_LEVELS = tuple(str(level) for level in range(len(TASK.labels)))


def matches(source: Path) -> bool:
    """Say whether a folder holds a table of labels of the training clips."""
    return _table(source, "train").is_file()


def load(source: Path, task: Task = TASK) -> ClipTable:
    """Read the clip table from the folder that holds ``DataSet`` and ``Labels``.

    Some labelled clips of the data set have no video, which comes to light when features are extracted.
    """
    tables = {split: _table(source, split) for split in _SPLITS}
    if not any(path.is_file() for path in tables.values()):
        raise DataError(f"{source}: does not hold the data set '{NAME}'", hint=f"Looked for {LOOKS_FOR}.")
    if lacking := [path for path in tables.values() if not path.is_file()]:
        raise SplitError(f"{lacking[0]}: no such file", hint="All three tables of labels are needed.")
    media = find_folder(source, _MEDIA) or source / _MEDIA
    clips = [
        clip
        for split, path in tables.items()
        for clip in _clips(read_table(path), split, find_child(media, _SPLITS[split]), task)
    ]
    counts = Counter(clip.id for clip in clips)
    if doubled := [clip_id for clip_id, count in counts.items() if count > 1]:
        raise ConflictingLabelsError(
            f"{source}: {count_clips(doubled)} in two tables of labels: {first_ids(doubled)}",
            hint="Each clip belongs to one split; copy the tables again from the data set.",
        )
    return ClipTable(task.name, source, task, by_id(clips), "ClipID")


def load_engagement(source: Path) -> ClipTable:
    """Read the clip table with the level of engagement as a number."""
    return load(source, ENGAGEMENT)


def _table(source: Path, split: Split) -> Path:
    return find_child(find_child(source, _LABELS), f"{_SPLITS[split]}Labels.csv")


def _clips(table: Table, split: Split, media: Path, task: Task) -> Iterator[Clip]:
    id_position, level_position = table.positions(("ClipID", "Engagement"))
    problems = table.problems()
    levels: dict[str, str] = {}
    files: dict[str, str] = {}
    for line, cells in zip(table.lines, table.rows, strict=True):
        stem, level = Path(cells[id_position]).stem, cells[level_position]
        if not _CLIP.fullmatch(stem):
            problems.add(NO_SUBJECT, line, f"'{cells[id_position]}' does not begin with a subject's six digits")
        elif level not in _LEVELS:
            problems.add(UNKNOWN_CLASS, line, f"clip {stem}: Engagement is '{level}'; known: {', '.join(_LEVELS)}")
        elif levels.setdefault(stem, level) != level:
            problems.add(CONFLICT, line, f"clip {stem}: Engagement is {level}, but {levels[stem]} further up")
        files[stem] = cells[id_position]
    problems.check()
    for stem, level in levels.items():
        place, subject = int(level), stem[:6]
        labels = task.one_hot(place) if task.is_classification else (place / (len(_LEVELS) - 1),)
        folder = media / subject / stem
        # The tables call every clip .avi, but some are .mp4.
        video = list_files(folder, VIDEO_SUFFIXES).get(stem) or folder / files[stem]
        yield Clip(stem, split, video, labels=labels, group=subject)
