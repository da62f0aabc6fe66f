"""What a detector is, and what it says of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
Image = NDArray[np.uint8]


def areas(boxes: Boxes) -> NDArray[np.float64]:
    """Return the area of each box, shape (...,), for boxes of shape (..., 4)."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return np.asarray(sides[..., 0] * sides[..., 1], dtype=np.float64)


def centres(boxes: Boxes) -> NDArray[np.float64]:
    """Return the centre of each box, shape (..., 2), for boxes of shape (..., 4)."""
    return np.asarray((boxes[..., :2] + boxes[..., 2:]) / 2, dtype=np.float64)


def overlap(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return the intersection over union of boxes (..., 4), broadcast to (...,); 0 for empty boxes, NaN for NaN.

    Examples:
        >>> float(overlap(np.array([0.0, 0.0, 2.0, 2.0]), np.array([1.0, 0.0, 3.0, 2.0])).round(3))
        0.333
    """
    low, high = np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])
    shared = areas(np.concatenate([low, high], axis=-1))
    union = areas(first) + areas(second) - shared
    return np.asarray(shared / np.where(union == 0, 1.0, union), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Detection:
    """One face in one image.

    Attributes:
        box: float64 (4,), x0, y0, x1, y1 in pixels of the original image; may reach beyond its edge.
        score: The detector's own confidence, larger is surer; scores of different detectors do not compare.
        landmarks: float64 (5, 2), x and y in pixels: the eye and mouth corner on the image's left come before
            those on its right (eye, eye, nose tip, mouth, mouth). A point that is not known is NaN. None where the
            detector gives no points.
    """

    box: NDArray[np.float64]
    score: float
    landmarks: NDArray[np.float64] | None = None


class Detector(Protocol):
    """Finds faces in images."""

    def detect(self, images: Sequence[Image], /, *, size: int | None = None) -> list[list[Detection]]:
        """Find the faces of each image, surest first.

        Args:
            images: RGB uint8 (height, width, 3), sizes may differ.
            size: Longer side of the scaled image that is searched, in pixels; None is the configured one.

        Returns:
            One list per image, in the same order. What is found in an image does not depend on the others.
        """
        ...


def scale_to(image: Image, size: int) -> Image:
    """Return the image with its longer side at ``size`` pixels; shrinking averages areas, so that nothing aliases."""
    import cv2

    height, width = image.shape[:2]
    factor = size / max(height, width)
    target = (max(1, round(width * factor)), max(1, round(height * factor)))
    if target == (width, height):
        return image
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, target, interpolation=how), dtype=np.uint8)
