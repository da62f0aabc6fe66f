"""The detector ``dlib``: histograms of oriented gradients and five linear filters, inside the wheel, offline.

Source: N. Dalal and B. Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005, as trained in
D. E. King, Max-Margin Object Detection, arXiv:1502.00046. It sees faces of 80 pixels or more in the scaled picture.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eri.media.faces.detection import Detection, Picture, scale_to
from eri.media.faces.landmarks import five_points, load_shape_predictor

THRESHOLD = 0.0


class DlibDetector:
    """The frontal face detector of dlib, with landmarks when a shape predictor is given.

    Args:
        size: Longer side of the scaled picture that is searched, in pixels.
        threshold: Smallest score of a detection; None is dlib's own, 0.
        landmarks: File of a shape predictor with 5 or 68 points; None gives boxes only.

    Raises:
        WeightsError: The shape predictor is missing, damaged or has another number of points.
    """

    def __init__(self, *, size: int, threshold: float | None = None, landmarks: Path | None = None) -> None:
        self._size = size
        self._threshold = THRESHOLD if threshold is None else threshold
        # dlib lets other threads run while it searches but keeps the picture's pyramid in the detector object:
        # each thread needs its own.
        self._own = threading.local()
        self._predictor = None if landmarks is None else load_shape_predictor(landmarks)

    def detect(self, pictures: Sequence[Picture], *, size: int | None = None) -> list[list[Detection]]:
        """Find the faces of each picture, surest first; boxes are square, from the brows to the chin."""
        return [self._detect(picture, self._size if size is None else size) for picture in pictures]

    def _detect(self, picture: Picture, size: int) -> list[Detection]:
        scaled = np.ascontiguousarray(scale_to(picture, size))
        rectangles, scores, _ = self._frontal().run(scaled, 0, self._threshold)
        ratio = np.array([picture.shape[1] / scaled.shape[1], picture.shape[0] / scaled.shape[0]] * 2)
        found = []
        for rectangle, score in zip(rectangles, scores, strict=True):
            # dlib's right and bottom are the last pixel inside.
            corners = (rectangle.left(), rectangle.top(), rectangle.right() + 1, rectangle.bottom() + 1)
            box = np.array(corners, dtype=np.float64) * ratio
            points = None if self._predictor is None else five_points(self._predictor, picture, box)
            found.append(Detection(box, float(score), points))
        return sorted(found, key=lambda face: (-face.score, *face.box))

    def _frontal(self) -> Any:
        if not hasattr(self._own, "frontal"):
            import dlib

            self._own.frontal = dlib.get_frontal_face_detector()
        return self._own.frontal
