"""What the adapters of recorded expressions share: problems, and ids and classes made of paths.

None of these data sets has a table of all its clips: a clip is a folder or a file, and its class is a folder's name or
a code in a file beside it. Most have no splits: all clips are then in ``train``, grouped by subject, for folds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from eri.config.tasks import Task
from eri.data.adapters.listing import list_files, list_folders
from eri.data.clips import Clip, ClipTable, by_id
from eri.data.tables import Kind, Problems
from eri.utils.errors import ConflictingLabelsError, DataError, MissingSubjectError, UnknownClassError
from eri.utils.spelling import did_you_mean

UNKNOWN_CLASS = Kind(
    "unknown classes",
    "Name the class as the data set does, or move folders that are no clips out of the data set's folder.",
    UnknownClassError,
)
CONFLICT = Kind(
    "clips with two labels", "Keep one label for each clip; copy it again from the data set.", ConflictingLabelsError
)
NO_SUBJECT = Kind(
    "clips of an unknown subject",
    "Folds keep the clips of a subject together, so each clip needs its own: name the folder or file as the data set "
    "does, or remove the clip.",
    MissingSubjectError,
)

_UNSAFE = re.compile(r"[^A-Za-z0-9._\-]+")


def make_id(*parts: str) -> str:
    """Return a clip id of the parts of its path, such as ``Train-Angry-clip_1`` of ``Train/Angry/clip 1``."""
    return "-".join(_UNSAFE.sub("_", part) for part in parts)


def visible_folders(folder: Path) -> dict[str, Path]:
    """Return the folders inside a folder by name, in ascending order, without those that systems hide there."""
    found = list_folders(folder)
    return {name: found[name] for name in sorted(found) if not name.startswith((".", "__"))}


def visible_files(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Return the files of :func:`list_files` without those that are hidden."""
    return {stem: path for stem, path in list_files(folder, suffixes).items() if not stem.startswith(".")}


def find_class(name: str, task: Task) -> str | None:
    """Return the class that a name stands for, whatever its case; None where it is none."""
    return next((label for label in task.labels if label.casefold() == name.casefold()), None)


def make_table(
    name: str, root: Path, task: Task, clips: Iterable[Clip], problems: Problems, nothing: DataError
) -> ClipTable:
    """Return the table of clips; raise the problems that were recorded while they were read, or that there are none."""
    found = by_id(clips)
    problems.check()
    if not found:
        raise nothing
    return ClipTable(name, root, task, found)


def record_unknown(problems: Problems, place: str, name: str, task: Task) -> None:
    """Record a name that is no class, with the most similar one."""
    guess = did_you_mean(name, task.labels)
    problems.add(UNKNOWN_CLASS, place, f"'{name}' is no class{guess}; known: {', '.join(task.labels)}")
