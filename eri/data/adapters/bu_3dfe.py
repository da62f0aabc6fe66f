"""The sequences of Binghamton University's 3D facial expressions, which the paper of CEFLNet calls BU-3DFE.

``F001/Angry/000.jpg …`` beside the meshes ``000.wrl``, which are passed over: 58 women ``F001`` to ``F058`` and 43 men
``M001`` to ``M043`` show six expressions, about 100 frames each at 25 per second: 606 sequences. Its owners distribute
these sequences as BU-4DFE; what they distribute as BU-3DFE (``F0001/F0001_AN01WH_F2D.bmp``) holds single scans. There
are no splits: all clips are in ``train``, grouped by subject, for subject-independent folds.
"""

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
