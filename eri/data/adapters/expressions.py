"""What the adapters of recorded expressions share: problems, ids made of paths, and trees of subjects and classes.

None of these data sets has a table of all its clips: a clip is a folder or a file, and its class is a folder's name or
a code in a file beside it. Most have no splits: all clips are then in ``train``, grouped by subject, for folds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from eri.config.tasks import Task
from eri.data.adapters.listing import IMAGE_SUFFIXES, list_files, list_folders
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


def record_unknown_class(problems: Problems, place: str, name: str, task: Task) -> None:
    """Record a name that is no class, with the most similar one."""
    guess = did_you_mean(name, task.labels)
    problems.add(UNKNOWN_CLASS, place, f"'{name}' is no class{guess}; known: {', '.join(task.labels)}")


class SubjectTree(NamedTuple):
    """A data set of folders ``<subject>/<class>/`` of images, whose classes are those of the task."""

    name: str
    task: Task
    subject: re.Pattern[str]  # a subject's folder
    example: str  # of such a folder, for messages

    def fits(self, folder: Path) -> bool:
        """Say whether a folder holds a subject with a class."""
        homes = (path for name, path in visible_folders(folder).items() if self.subject.fullmatch(name))
        return any(find_class(name, self.task) for home in homes for name in list_folders(home))

    def read(self, folder: Path) -> ClipTable:
        """Read the clips of all subjects; all are in the split ``train``, grouped by subject.

        Folders that hold no images of a class, such as those of tools, are passed over.
        """
        problems = Problems(folder, "folder")
        hint = f"Expected {self.example}/{self.task.labels[0]}/ with images."
        nothing = DataError(f"{folder}: holds no clip of {self.name}", hint=hint)
        return make_table(self.name, folder, self.task, self._clips(folder, problems), problems, nothing)

    def _clips(self, folder: Path, problems: Problems) -> Iterator[Clip]:
        for subject, home in visible_folders(folder).items():
            if not self.subject.fullmatch(subject):
                classes = (path for name, path in list_folders(home).items() if find_class(name, self.task))
                if any(list_files(path, IMAGE_SUFFIXES) for path in classes):
                    problems.add(NO_SUBJECT, subject, f"is no subject's folder, such as {self.example}")
                continue
            for name, images in visible_folders(home).items():
                label = find_class(name, self.task)
                if label is not None:
                    labels = self.task.one_hot(label)
                    yield Clip(make_id(subject, name), "train", images, labels=labels, group=subject)
                elif list_files(images, IMAGE_SUFFIXES):
                    record_unknown_class(problems, f"{subject}/{name}", name, self.task)
