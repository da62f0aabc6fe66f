"""The Extended Cohn-Kanade data set (CK+), 327 sequences of 118 subjects; docs/data-sets.md shows the layout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from eri.config.tasks import Task
from eri.data.adapters.expressions import CONFLICT, NO_SUBJECT, UNKNOWN_CLASS, make_id, make_table, visible_folders
from eri.data.adapters.listing import find_folder, list_files
from eri.data.clips import Clip, ClipTable
from eri.data.tables import Problems, parse_number, read_text
from eri.utils.errors import DataError

NAME = "ck-plus"
LOOKS_FOR = "cohn-kanade-images/ and Emotion/ (CK+)"
TASK = Task.of_classes(NAME, ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise"))
"""In the order of the codes 1 to 7; code 0, neutral, labels no sequence."""

_IMAGES = ("cohn-kanade-images", "extended-cohn-kanade-images/cohn-kanade-images")
_EMOTIONS = ("Emotion", "Emotion_labels/Emotion")
_CODES = tuple(str(code) for code in range(1, len(TASK.labels) + 1))
_SUBJECT = re.compile(r"S\d{3}")
_LABEL_FILE = "_emotion"


def matches(source: Path) -> bool:
    """Say whether a folder holds the images and the codes of the expressions."""
    return find_folder(source, *_IMAGES) is not None and find_folder(source, *_EMOTIONS) is not None


def load(source: Path) -> ClipTable:
    """Read the clip table, the sequences that have a code, from the folder that holds both archives' folders."""
    images, emotions = find_folder(source, *_IMAGES), find_folder(source, *_EMOTIONS)
    if images is None or emotions is None:
        lacking = _IMAGES[0] if images is None else _EMOTIONS[0]
        raise DataError(f"{source}: has no folder {lacking}", hint=f"{NAME} needs {LOOKS_FOR}, from two archives.")
    problems = Problems(emotions, "folder")
    nothing = DataError(f"{emotions}: holds no file such as S005/001/S005_001_00000011_emotion.txt")
    return make_table(NAME, source, TASK, _clips(images, emotions, problems), problems, nothing)


def _clips(images: Path, emotions: Path, problems: Problems) -> Iterator[Clip]:
    for subject, home in visible_folders(emotions).items():
        for sequence, folder in visible_folders(home).items():
            files = list_files(folder, (".txt",))
            codes = [_read_code(path) for stem, path in sorted(files.items()) if stem.lower().endswith(_LABEL_FILE)]
            if not codes:
                continue
            place = f"{subject}/{sequence}"
            if not _SUBJECT.fullmatch(subject):
                problems.add(NO_SUBJECT, place, f"'{subject}' is no subject, such as S005")
            elif len(set(codes)) > 1:
                problems.add(CONFLICT, place, f"its files hold the codes {' and '.join(codes)}")
            elif codes[0] not in _CODES:
                problems.add(UNKNOWN_CLASS, place, f"its code is '{codes[0]}'; known: 1 ({TASK.labels[0]}) to 7")
            else:
                video = images / subject / sequence
                labels = TASK.one_hot(_CODES.index(codes[0]))
                yield Clip(make_id(f"{subject}_{sequence}"), "train", video, labels=labels, group=subject)


def _read_code(path: Path) -> str:
    text = read_text(path).strip()
    code = parse_number(text)
    return f"{code:g}" if code is not None else text
