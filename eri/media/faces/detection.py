"""What a detector is, and what it says of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Detection:
    """One face in one picture.

    Attributes:
        box: float64 (4,), x0, y0, x1, y1 in pixels of the original picture; may reach beyond its edge.
        score: The detector's own confidence, larger is surer; scores of different detectors do not compare.
        landmarks: float64 (5, 2), x and y in pixels: the eye and mouth corner on the picture's left come before
            those on its right (eye, eye, nose tip, mouth, mouth). A point that is not known is NaN. None where the
            detector gives no points.
    """

    box: NDArray[np.float64]
    score: float
    landmarks: NDArray[np.float64] | None = None


class Detector(Protocol):
    """Finds faces in pictures."""

    def detect(self, pictures: Sequence[Picture], *, size: int | None = None) -> list[list[Detection]]:
        """Find the faces of each picture, surest first.

        Args:
            pictures: RGB uint8 (height, width, 3), sizes may differ.
            size: Longer side of the scaled picture that is searched, in pixels; None is the configured one.

        Returns:
            One list a picture, in the same order. What is found in a picture does not depend on the others.
        """
        ...


def scale_to(picture: Picture, size: int) -> Picture:
    """Return the picture with its longer side at ``size`` pixels, its shape kept.

    Shrinking averages areas, so that fine texture does not alias; growing is bilinear.
    """
    import cv2

    height, width = picture.shape[:2]
    factor = size / max(height, width)
    target = (max(1, round(width * factor)), max(1, round(height * factor)))
    if target == (width, height):
        return picture
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, target, interpolation=how), dtype=np.uint8)
