"""The sequences that the paper of CEFLNet calls BU-3DFE, their owners BU-4DFE; docs/data-sets.md shows the layout."""

from __future__ import annotations

import re
from pathlib import Path

from eri.config.tasks import Task
from eri.data.adapters.expressions import SubjectTree, visible_folders
from eri.data.clips import ClipTable
from eri.utils.errors import DataError

NAME = "bu-3dfe"
LOOKS_FOR = "folders F001/Angry (BU-3DFE's sequences, distributed as BU-4DFE)"
TASK = Task.of_classes(NAME, ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise"))

_TREE = SubjectTree(NAME, TASK, re.compile(r"[FM]\d{3}"), "F001")
_SCANS = re.compile(r"[FM]\d{4}")


def matches(source: Path) -> bool:
    """Say whether a folder holds subjects with sequences."""
    return _TREE.fits(source)


def load(source: Path) -> ClipTable:
    """Read the clip table from the folder that holds the subjects' folders."""
    if _TREE.fits(source):
        return _TREE.read(source)
    if any(map(_SCANS.fullmatch, visible_folders(source))):
        hint = "The sequences of 101 subjects are distributed as BU-4DFE; give its folder."
        raise DataError(f"{source}: holds the single scans of BU-3DFE, no sequences", hint=hint)
    raise DataError(f"{source}: does not hold the data set '{NAME}'", hint=f"Looked for {LOOKS_FOR}.")
