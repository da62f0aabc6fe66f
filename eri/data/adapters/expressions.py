"""What the adapters of recorded expressions share: problems, ids made of paths, and trees of subjects and classes.

None of these data sets has a table of all its clips: a clip is a folder or a file, and its class is a folder's name or
a code in a file beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eri.config.tasks import Task
from eri.data.adapters.listing import PICTURE_SUFFIXES, list_files, list_folders
from eri.data.clips import Clip, ClipTable
from eri.data.problems import Kind, Problems
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
    """Return a clip id of the parts of its path.

    Examples:
        >>> make_id("Train", "Angry", "clip 1")
        'Train-Angry-clip_1'
    """
    return "-".join(_UNSAFE.sub("_", part) for part in parts)


def visible_folders(folder: Path) -> dict[str, Path]:
    """Return the folders inside a folder by name, in ascending order, without those that systems hide there."""
    found = list_folders(folder)
    return {name: found[name] for name in sorted(found) if not name.startswith((".", "__"))}


def find_class(name: str, task: Task) -> str | None:
    """Return the class that a name stands for, whatever its case; None where it is none."""
    return next((label for label in task.labels if label.casefold() == name.casefold()), None)


def note_unknown_class(problems: Problems, place: str, name: str, task: Task) -> None:
    """Note a name that is no class, with the most similar one."""
    guess = did_you_mean(name, task.labels)
    problems.add(UNKNOWN_CLASS, place, f"'{name}' is no class{guess}; known: {', '.join(task.labels)}")


@dataclass(frozen=True)
class SubjectTree:
    """How a data set of folders ``<subject>/<class>/`` of images is laid out.

    Attributes:
        name: Of the data set.
        task: Its classes are what the folders are called.
        subject: A regular expression of a subject's folder.
        example: Of a subject's folder, for messages.
    """

    name: str
    task: Task
    subject: re.Pattern[str]
    example: str

    def fits(self, folder: Path) -> bool:
        """Say whether a folder holds a subject with a class."""
        return any(
            self.subject.fullmatch(name) and self._has_class(path) for name, path in visible_folders(folder).items()
        )

    def read(self, folder: Path) -> ClipTable:
        """Read the clips of all subjects; all are in the split ``train``, grouped by subject.

        Folders that hold no images of a class, such as those of tools, are passed over.

        Raises:
            UnknownClassError: The name of a folder of images inside a subject's is no class.
            MissingSubjectError: A folder holds classes but is called as no subject is.
            DataError: It holds no clip, or several kinds of problem.
        """
        problems = Problems(folder, "folder")
        clips = sorted(self._clips(folder, problems), key=lambda clip: clip.id)
        problems.check()
        if not clips:
            raise DataError(
                f"{folder}: holds no clip of {self.name}",
                hint=f"Expected {self.example}/{self.task.labels[0]}/ with images.",
            )
        return ClipTable(self.name, folder, self.task, tuple(clips))

    def _has_class(self, folder: Path) -> bool:
        return any(find_class(name, self.task) for name in list_folders(folder))

    def _has_pictures(self, folder: Path) -> bool:
        classes = (path for name, path in list_folders(folder).items() if find_class(name, self.task))
        return any(list_files(path, PICTURE_SUFFIXES) for path in classes)

    def _clips(self, folder: Path, problems: Problems) -> Iterator[Clip]:
        for subject, home in visible_folders(folder).items():
            if not self.subject.fullmatch(subject):
                if self._has_pictures(home):
                    problems.add(NO_SUBJECT, subject, f"is no subject's folder, such as {self.example}")
                continue
            for name, pictures in visible_folders(home).items():
                label = find_class(name, self.task)
                if label is not None:
                    labels = self.task.one_hot(label)
                    yield Clip(make_id(subject, name), "train", pictures, labels=labels, group=subject)
                elif list_files(pictures, PICTURE_SUFFIXES):
                    note_unknown_class(problems, f"{subject}/{name}", name, self.task)
