"""Oulu-CASIA NIR&VIS: its visible-light sequences in normal light; docs/data-sets.md shows the layout."""

from __future__ import annotations

import re
from pathlib import Path

from eri.config.tasks import Task
from eri.data.adapters.expressions import SubjectTree, visible_folders
from eri.data.adapters.listing import find_folder
from eri.data.clips import ClipTable
from eri.utils.errors import DataError

NAME = "oulu-casia"
LOOKS_FOR = "VL/Strong or VL_Acropped/Strong with folders P001/Anger (Oulu-CASIA)"
TASK = Task.of_classes(NAME, ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"))

_TREE = SubjectTree(NAME, TASK, re.compile(r"P\d{3}"), "P001")
_ARCHIVES = re.compile(r".*(originalimg|preprocess|oulu).*", re.IGNORECASE)
_LIGHT = ("VL/Strong", "VL_Acropped/Strong")


def matches(source: Path) -> bool:
    """Say whether a folder holds sequences of visible, normal light."""
    return _home(source) is not None


def load(source: Path) -> ClipTable:
    """Read the clip table from the data set's folder, the one that an archive makes, or the folder ``Strong``."""
    home = _home(source)
    if home is None:
        raise DataError(f"{source}: does not hold the data set '{NAME}'", hint=f"Looked for {LOOKS_FOR}.")
    return _TREE.read(home)


def _home(source: Path) -> Path | None:
    """Find the folder of subjects: original images before cropped ones, the nearest before deeper ones."""
    places = [source, *_archives(source)]
    candidates = [find_folder(place, light) for light in _LIGHT for place in places]
    if source.name.lower() == "strong" and source.parent.name.lower().startswith("vl"):
        candidates.append(source)
    return next((folder for folder in candidates if folder is not None and _TREE.fits(folder)), None)


def _archives(source: Path) -> list[Path]:
    found = [path for name, path in visible_folders(source).items() if _ARCHIVES.fullmatch(name)]
    return found + [inner for path in found for inner in _archives(path)]
