"""Factories that write the data sets of recorded expressions in miniature, in the layouts of their owners.

A clip shows a face-like ellipse with a bar that moves from its centre, in another direction for each class: the
pictures tell the class from the middle of the clip on, and so do the differences between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from eri.config.tasks import Task
from eri.data.adapters import afew, ck_plus, daisee, dfew, mmi
from eri.data.adapters.subject_trees import BU_3DFE, OULU_CASIA
from tests.factories.challenge import write_table
from tests.factories.media import Picture, write_clip

_FPS = 10


@dataclass(frozen=True)
class Miniature:
    """How small a data set is.

    Attributes:
        subjects: Subjects, in each split where subjects belong to one; takes of each class in each split or fold where
            a data set names no subjects.
        classes: The first so many classes of the task are shown by each subject.
        frames: Pictures of a clip.
        side: Of a picture, in pixels.
        media: False writes empty files in place of pictures and videos, for tests that look at paths only.
    """

    subjects: int = 4
    classes: int = 3
    frames: int = 6
    side: int = 64
    media: bool = True

    def labels(self, task: Task) -> tuple[str, ...]:
        """Return the classes that are shown."""
        return task.labels[: self.classes]

    def pictures(self, folder: Path, name: str, place: int, subject: int) -> None:
        """Write the pictures of one clip; ``name`` is a format of the picture's number, counted from 1."""
        folder.mkdir(parents=True, exist_ok=True)
        paint = expression(place, self.classes, subject, self.side)
        for number in range(self.frames):
            path = folder / name.format(number + 1)
            if self.media:
                Image.fromarray(paint(number / max(self.frames - 1, 1))).save(path)
            else:
                path.touch()

    def video(self, path: Path, place: int, subject: int) -> None:
        """Write one clip as a video."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self.media:
            path.touch()
            return
        length = self.frames / _FPS
        paint = expression(place, self.classes, subject, self.side)
        codec = "mpeg4" if path.suffix == ".avi" else "libx264"
        write_clip(
            path,
            length,
            fps=_FPS,
            size=(self.side, self.side),
            frames=lambda time: paint(time / length),
            video_codec=codec,
            audio=False,
        )


SMALL = Miniature()
PATHS = Miniature(media=False)


def expression(place: int, classes: int, subject: int, side: int = 64) -> Callable[[float], Picture]:
    """Return a painter of a class's expression at a moment between 0, neutral, and 1, the apex."""
    generator = np.random.default_rng(subject)
    ground = generator.integers(20, 90, 3)
    skin = generator.integers(120, 190, 3)
    angle = 2 * np.pi * place / classes
    rows, columns = np.mgrid[0:side, 0:side] / side - 0.5

    def paint(moment: float) -> Picture:
        picture = np.empty((side, side, 3), dtype=np.uint8)
        picture[:] = ground
        picture[rows**2 / 0.2 + columns**2 / 0.12 < 1] = skin
        down, right = 0.28 * moment * np.sin(angle), 0.28 * moment * np.cos(angle)
        picture[(abs(rows - down) < 0.08) & (abs(columns - right) < 0.08)] = (250, 240, 230)
        return picture

    return paint


def write_dfew(root: Path, size: Miniature = SMALL) -> Path:
    """Write ``EmoLabel_DataSplit`` with 5 folds and ``Clip/clip_224x224``; a fold tests ``subjects`` takes a class."""
    numbers: dict[int, tuple[str, int]] = {}
    for fold in dfew.FOLDS:
        for _take in range(size.subjects):
            for place in range(size.classes):
                numbers[len(numbers) + 1] = (fold, place)
    for fold in dfew.FOLDS:
        for part in ("train", "test"):
            chosen = [(n, place) for n, (own, place) in numbers.items() if (own == fold) == (part == "test")]
            rows = [["video_name", "label"], *([str(n), str(place + 1)] for n, place in chosen)]
            write_table(root / "EmoLabel_DataSplit" / f"{part}(single-labeled)" / f"set_{fold}.csv", rows)
    for number, (_, place) in numbers.items():
        size.pictures(root / "Clip" / "clip_224x224" / f"{number:05d}", "{:05d}.jpg", place, number)
    return root


def write_afew(root: Path, size: Miniature = SMALL) -> Path:
    """Write ``Train_AFEW``, ``Val_AFEW`` and ``Test_vid_Distribute``, and a folder of aligned faces to pass over."""
    for split, folder in enumerate(("Train_AFEW", "Val_AFEW")):
        for place, name in enumerate(size.labels(afew.TASK)):
            for take in range(size.subjects):
                size.video(root / folder / name / f"{place:03d}{take:06d}.avi", place, 100 * split + take)
    size.video(root / "Test_vid_Distribute" / "000000001.avi", 0, 300)
    (root / "Train_AFEW" / "AlignedFaces_LBPTOP_Points" / "Faces").mkdir(parents=True)
    return root


def write_daisee(root: Path, size: Miniature = SMALL) -> Path:
    """Write ``DataSet`` and ``Labels``; each subject has a clip of each level of engagement."""
    for split, folder in enumerate(("Train", "Validation", "Test")):
        rows = [["ClipID", "Boredom", "Engagement", "Confusion", "Frustration "]]
        for subject in range(size.subjects):
            name = f"{split + 1}{subject:05d}"
            for place in range(size.classes):
                clip = f"{name}{place + 1:04d}"
                size.video(root / "DataSet" / folder / name / clip / f"{clip}.avi", place, int(name))
                rows.append([f"{clip}.avi", "0", str(place), "0", "0"])
        write_table(root / "Labels" / f"{folder}Labels.csv", rows, newline="\r\n")
    return root


def write_ck_plus(root: Path, size: Miniature = SMALL) -> Path:
    """Write ``cohn-kanade-images`` and ``Emotion``; each subject has one more sequence, without a code."""
    for subject in range(size.subjects):
        home = f"S{subject + 5:03d}"
        for place in range(size.classes + 1):
            stem = f"{home}_{place + 1:03d}"
            folder = f"{home}/{place + 1:03d}"
            size.pictures(root / "cohn-kanade-images" / folder, stem + "_{:08d}.png", place, subject)
            labels = root / "Emotion" / folder
            labels.mkdir(parents=True)
            if place < size.classes:
                (labels / f"{stem}_{size.frames:08d}_emotion.txt").write_text(f"   {place + 1:.7e}\n")
    return root


def write_oulu_casia(root: Path, size: Miniature = SMALL) -> Path:
    """Write ``OriginalImg/VL/Strong``, and the other lights and the cropped pictures without any."""
    for subject in range(size.subjects):
        for place, name in enumerate(size.labels(OULU_CASIA.task)):
            folder = f"P{subject + 1:03d}/{name}"
            size.pictures(root / "OriginalImg" / "VL" / "Strong" / folder, "{:03d}.jpeg", place, subject)
            for other in ("OriginalImg/VL/Weak", "OriginalImg/NI/Strong", "PreProcess_Img/VL_Acropped/Strong"):
                (root / other / folder).mkdir(parents=True)
    return root


def write_bu_3dfe(root: Path, size: Miniature = SMALL) -> Path:
    """Write ``F001``, ``M001`` and so on, with a mesh in each sequence, and a folder of the owners' viewer."""
    for subject in range(size.subjects):
        for place, name in enumerate(size.labels(BU_3DFE.task)):
            folder = root / f"{'FM'[subject % 2]}{subject // 2 + 1:03d}" / name
            size.pictures(folder, "{:03d}.jpg", place, subject)
            (folder / "001.wrl").touch()
    (root / "BU_WrlViewer_V2").mkdir()
    return root


def write_mmi(root: Path, size: Miniature = SMALL) -> Path:
    """Write ``Sessions``: emotions of each subject, and sessions of a profile, of action units and of another code."""
    number = 0
    for subject in range(1, size.subjects + 1):
        codes = ["", "8", *(str(place + 1) for place in range(size.classes)), "1"]
        for take, code in enumerate(codes, start=1):
            number += 1
            view = "1" if take == len(codes) else "0"
            stem = f"S{subject:03d}-{take:03d}"
            folder = root / "Sessions" / str(number)
            size.video(folder / f"{stem}.avi", (int(code or 1) - 1) % size.classes, subject)
            write_session(folder, stem, code=code, subject=subject, view=view)
    return root


def write_session(folder: Path, stem: str, *, code: str, subject: int | None, view: str = "0") -> None:
    """Write the two XML files of a session of MMI; without a code, its annotation is of action units only."""
    folder.mkdir(parents=True, exist_ok=True)
    person = "" if subject is None else f'<subject id="{subject}" gender="f"/>'
    track = f'<track type="Video" view="{view}" filename="{stem}.avi"/>'
    (folder / "session.xml").write_text(f'<?xml version="1.0"?><session id="{folder.name}">{person}{track}</session>')
    tag = f'<Metatag Name="Emotion" Value="{code}"/>' if code else '<ActionUnit Number="12"/>'
    (folder / f"{stem}.xml").write_text(f'<?xml version="1.0"?><Annotation>{tag}</Annotation>')


WRITERS: Mapping[str, Callable[[Path, Miniature], Path]] = MappingProxyType(
    {
        dfew.NAME: write_dfew,
        afew.NAME: write_afew,
        daisee.NAME: write_daisee,
        ck_plus.NAME: write_ck_plus,
        OULU_CASIA.task.name: write_oulu_casia,
        BU_3DFE.task.name: write_bu_3dfe,
        mmi.NAME: write_mmi,
    }
)
"""By the name of the adapter that reads what they write."""


def count_clips(name: str, size: Miniature) -> int:
    """Return how many clips an adapter finds in what is written."""
    each = size.subjects * size.classes
    return {dfew.NAME: 5 * each, afew.NAME: 2 * each + 1, daisee.NAME: 3 * each}.get(name, each)


def write(root: Path, *, name: str, size: Miniature = SMALL) -> Path:
    """Write the data set that an adapter reads, and return its folder."""
    return WRITERS[name](root, size)
