"""Data sets of folders ``<subject>/<class>/`` of images: Oulu-CASIA and BU-3DFE; docs/data-sets.md shows them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from eri.config.tasks import Task
from eri.data.adapters.expressions import NO_SUBJECT, find_class, make_id, make_table, record_unknown, visible_folders
from eri.data.adapters.listing import IMAGE_SUFFIXES, find_folder, list_files, list_folders
from eri.data.clips import Clip, ClipTable
from eri.data.tables import Problems
from eri.utils.errors import DataError


class SubjectTree(NamedTuple):
    """One such data set, whose classes are those of its task; all clips are ``train``, grouped by subject."""

    task: Task
    looks_for: str
    subject: re.Pattern[str]  # a subject's folder
    example: str  # of such a folder, for messages
    homes: Callable[[Path], Iterator[Path | None]]  # where a source may hold the subjects' folders, the best first

    def matches(self, source: Path) -> bool:
        """Say whether a folder holds a subject with a class."""
        return self._home(source) is not None

    def load(self, source: Path) -> ClipTable:
        """Read the clips of all subjects; folders that hold no images of a class, such as of tools, are passed over."""
        name, home = self.task.name, self._home(source)
        if home is None:
            raise DataError(f"{source}: does not hold the data set '{name}'", hint=f"Looked for {self.looks_for}.")
        problems = Problems(home, "folder")
        hint = f"Expected {self.example}/{self.task.labels[0]}/ with images."
        nothing = DataError(f"{home}: holds no clip of {name}", hint=hint)
        return make_table(name, home, self.task, self._clips(home, problems), problems, nothing)

    def _home(self, source: Path) -> Path | None:
        for home in filter(None, self.homes(source)):
            subjects = (path for name, path in visible_folders(home).items() if self.subject.fullmatch(name))
            if any(find_class(name, self.task) for subject in subjects for name in list_folders(subject)):
                return home
        return None

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
                    record_unknown(problems, f"{subject}/{name}", name, self.task)


_ARCHIVES = re.compile(r".*(originalimg|preprocess|oulu).*", re.IGNORECASE)


def _oulu_homes(source: Path) -> Iterator[Path | None]:
    """Yield original images before cropped ones, the nearest before deeper ones, then the folder ``Strong`` itself."""
    places = [source, *_archives(source)]
    yield from (find_folder(place, light) for light in ("VL/Strong", "VL_Acropped/Strong") for place in places)
    if source.name.lower() == "strong" and source.parent.name.lower().startswith("vl"):
        yield source


def _archives(source: Path) -> list[Path]:
    found = [path for name, path in visible_folders(source).items() if _ARCHIVES.fullmatch(name)]
    return found + [inner for path in found for inner in _archives(path)]


OULU_CASIA = SubjectTree(
    Task.of_classes("oulu-casia", ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")),
    "VL/Strong or VL_Acropped/Strong with folders P001/Anger (Oulu-CASIA)",
    re.compile(r"P\d{3}"),
    "P001",
    _oulu_homes,
)
BU_3DFE = SubjectTree(
    Task.of_classes("bu-3dfe", ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise")),
    "folders F001/Angry (BU-3DFE's sequences, distributed as BU-4DFE)",
    re.compile(r"[FM]\d{3}"),
    "F001",
    lambda source: iter([source]),
)


def load_bu_3dfe(source: Path) -> ClipTable:
    """Read the sequences that the paper of CEFLNet calls BU-3DFE, and their owners BU-4DFE."""
    if not BU_3DFE.matches(source) and any(re.fullmatch(r"[FM]\d{4}", name) for name in visible_folders(source)):
        hint = "The sequences of 101 subjects are distributed as BU-4DFE; give its folder."
        raise DataError(f"{source}: holds the single scans of BU-3DFE, no sequences", hint=hint)
    return BU_3DFE.load(source)
