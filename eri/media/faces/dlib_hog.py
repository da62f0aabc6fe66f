"""The detector ``dlib``: histograms of oriented gradients and five linear filters, inside the wheel, offline.

Source: N. Dalal and B. Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005, as trained in
D. E. King, Max-Margin Object Detection, arXiv:1502.00046. It sees faces of 80 pixels or more in the scaled image.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.media.faces.detection import Detection, Image, scale_to
from eri.utils.errors import WeightsError

THRESHOLD = 0.0
# The 5-point model marks the nose's base; the eyes' middle to the nose's tip is about three quarters of that way.
_TIP_OF_BASE = 0.75
_HINT = "Set faces.landmarks to a dlib shape predictor (.dat, unpacked) of 5 or 68 points, or leave it out."


def check_file(path: Path) -> Path:
    """Return the path of a shape predictor with the user's home filled in; a WeightsError where no file is there."""
    path = path.expanduser()
    if not path.is_file():
        raise WeightsError(f"{path}: no such shape predictor file", hint=_HINT)
    return path


def load_shape_predictor(path: Path) -> Any:
    """Load a ``dlib.shape_predictor`` of 5 or 68 points, such as ``shape_predictor_5_face_landmarks.dat``."""
    import dlib

    path = check_file(path)
    try:
        predictor = dlib.shape_predictor(str(path))
    except (RuntimeError, ValueError, MemoryError) as error:
        raise WeightsError(f"{path}: not a dlib shape predictor, or damaged: {error}", hint=_HINT) from error
    count = predictor(np.zeros((8, 8, 3), dtype=np.uint8), dlib.rectangle(0, 0, 7, 7)).num_parts
    if count not in (5, 68):
        raise WeightsError(f"{path}: a shape predictor of {count} points; 5 or 68 are understood", hint=_HINT)
    return predictor


def five_points(predictor: Any, image: Image, box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the landmarks of the face in a box as dlib's detector frames it, (5, 2), in the order of a Detection.

    The corners of the mouth are NaN with the 5-point predictor.
    """
    import dlib

    left, top, right, bottom = (round(float(value)) for value in box)
    shape = predictor(np.ascontiguousarray(image), dlib.rectangle(left, top, right - 1, bottom - 1))
    points = np.array([(part.x, part.y) for part in shape.parts()], dtype=np.float64) + 0.5
    if len(points) == 68:
        eyes = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
        return np.stack([*eyes, points[30], points[48], points[54]])
    # Points 0 and 1 are the corners of the eye on the image's right, 2 and 3 of the one on its left.
    eyes = points[2:4].mean(axis=0), points[0:2].mean(axis=0)
    middle = (eyes[0] + eyes[1]) / 2
    unknown = np.full(2, np.nan)
    return np.stack([*eyes, middle + _TIP_OF_BASE * (points[4] - middle), unknown, unknown])


class DlibDetector:
    """The frontal face detector of dlib, with landmarks when the file of a shape predictor is given.

    Images are searched with their longer side at ``size`` pixels; detections score at least ``threshold``, or 0.
    """

    def __init__(self, *, size: int, threshold: float | None = None, landmarks: Path | None = None) -> None:
        self._size = size
        self._threshold = THRESHOLD if threshold is None else threshold
        # dlib lets other threads run while it searches but keeps the image's pyramid in the detector object:
        # each thread needs its own.
        self._own = threading.local()
        self._predictor = None if landmarks is None else load_shape_predictor(landmarks)

    def detect(self, images: Sequence[Image], *, size: int | None = None) -> list[list[Detection]]:
        """Find the faces of each image, surest first; boxes are square, from the brows to the chin."""
        return [self._detect(image, self._size if size is None else size) for image in images]

    def _detect(self, image: Image, size: int) -> list[Detection]:
        scaled = np.ascontiguousarray(scale_to(image, size))
        rectangles, scores, _ = self._frontal().run(scaled, 0, self._threshold)
        ratio = np.array([image.shape[1] / scaled.shape[1], image.shape[0] / scaled.shape[0]] * 2)
        found = []
        for rectangle, score in zip(rectangles, scores, strict=True):
            # dlib's right and bottom are the last pixel inside.
            corners = (rectangle.left(), rectangle.top(), rectangle.right() + 1, rectangle.bottom() + 1)
            box = np.array(corners, dtype=np.float64) * ratio
            points = None if self._predictor is None else five_points(self._predictor, image, box)
            found.append(Detection(box, float(score), points))
        return sorted(found, key=lambda face: (-face.score, *face.box))

    def _frontal(self) -> Any:
        if not hasattr(self._own, "frontal"):
            import dlib

            self._own.frontal = dlib.get_frontal_face_detector()
        return self._own.frontal
