"""Images and clips with a realistic face at a known place, made from the portrait of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from eri.media.faces.detection import Detection, Image
from eri.media.video import FrameSequence
from eri.synthetic.face import WINDOW, read_portrait

# In the portrait: brows to chin as dlib frames them, the five landmarks, and an ellipse around the head.
_BOX = (179.0, 83.0, 267.0, 171.0)
_POINTS = np.array([[205.1, 97.7], [249.9, 103.4], [225.3, 127.2], [204.0, 139.9], [243.1, 144.5]])
_HEAD = ((223, 118), (82, 105))


@dataclass(frozen=True)
class Face:
    """A face in a scene: centre and side of its box in pixels, clockwise turn in degrees."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    @property
    def box(self) -> NDArray[np.float64]:
        """x0, y0, x1, y1 of the unturned face."""
        half = self.side / 2
        return np.array([self.x - half, self.y - half, self.x + half, self.y + half])

    @property
    def transform(self) -> NDArray[np.float64]:
        """From the portrait to the scene, (2, 3)."""
        scale = self.side / (_BOX[2] - _BOX[0])
        turn = scale * np.exp(1j * np.deg2rad(self.angle))
        linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
        middle = np.array([(_BOX[0] + _BOX[2]) / 2, (_BOX[1] + _BOX[3]) / 2])
        return np.column_stack([linear, np.array([self.x, self.y]) - linear @ middle])

    @property
    def landmarks(self) -> NDArray[np.float64]:
        """The five landmarks, (5, 2)."""
        matrix = self.transform
        return np.asarray(_POINTS @ matrix[:, :2].T + matrix[:, 2])


def scene(*faces: Face, width: int = 320, height: int = 240) -> Image:
    """Draw faces on a smooth background; the same arguments give the same image."""
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack([90 + 60 * rows / height, 110 + 40 * columns / width, 120 - 30 * rows / height], axis=-1)
    for face in faces:
        portrait, mask = _head()
        matrix = face.transform
        # Averaging before shrinking, as a camera does.
        sigma = max(0.0, 0.4 * (_BOX[2] - _BOX[0]) / face.side - 0.4)
        source = cv2.GaussianBlur(portrait, (0, 0), sigma) if sigma > 0.1 else portrait
        drawn, share = (cv2.warpAffine(part, matrix, (width, height)) for part in (source, mask))
        image += (drawn - image) * share[..., None]
    return np.asarray(np.clip(np.round(image), 0, 255), dtype=np.uint8)


@cache
def _head() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    left, top, right, bottom = WINDOW
    sides = (top, 512 - bottom, left, 512 - right)
    portrait = cv2.copyMakeBorder(read_portrait(), *sides, cv2.BORDER_REPLICATE).astype(np.float32)
    mask = np.zeros(portrait.shape[:2], dtype=np.float32)
    cv2.ellipse(mask, _HEAD[0], _HEAD[1], 0, 0, 360, 1.0, -1)
    return portrait, np.asarray(cv2.GaussianBlur(mask, (0, 0), 4), dtype=np.float32)


def clip(images: Sequence[Image], seconds: float = 10.0) -> FrameSequence:
    """Return images as evenly sampled frames of a clip."""
    count = len(images)
    return FrameSequence((np.arange(count) + 0.5) * seconds / count, np.stack(images))


class Oracle:
    """A detector that knows where each face is, and counts what it is asked.

    The first pixel of a image is its number, so that images are told apart without looking.

    Args:
        faces: The detections of each image.
        smallest: Size of search from which a image's faces are found; 0 unless given.
    """

    def __init__(self, faces: Sequence[Sequence[Detection]], smallest: Sequence[int] | None = None) -> None:
        self.faces = faces
        self.smallest = smallest or [0] * len(faces)
        self.asked: list[tuple[int, int]] = []

    def detect(self, images: Sequence[Image], *, size: int | None = None) -> list[list[Detection]]:
        assert size is not None
        numbers = [int(image[0, 0, 0]) for image in images]
        self.asked += [(number, size) for number in numbers]
        return [list(self.faces[number]) if size >= self.smallest[number] else [] for number in numbers]


def numbered(count: int, width: int = 320, height: int = 240) -> Image:
    """Return ``count`` grey images whose first pixel is their number."""
    images = np.full((count, height, width, 3), 128, dtype=np.uint8)
    images[:, 0, 0] = np.arange(count)[:, None]
    return images


def face_at(x: float, y: float = 100.0, side: float = 50.0, score: float = 1.0) -> Detection:
    """Return a detection by its centre and side."""
    return Detection(Face(x, y, side).box, score)
