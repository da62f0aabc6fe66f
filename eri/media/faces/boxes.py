"""Geometry of boxes: x0, y0, x1, y1 in pixels, where pixel i covers [i, i + 1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


def areas(boxes: Boxes) -> NDArray[np.float64]:
    """Return the area of each box, shape (...,), for boxes of shape (..., 4)."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return np.asarray(sides[..., 0] * sides[..., 1], dtype=np.float64)


def centres(boxes: Boxes) -> NDArray[np.float64]:
    """Return the centre of each box, shape (..., 2), for boxes of shape (..., 4)."""
    return np.asarray((boxes[..., :2] + boxes[..., 2:]) / 2, dtype=np.float64)


def overlap(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Return the intersection over union of boxes, with the usual broadcasting.

    Args:
        first: Shape (..., 4).
        second: Shape (..., 4).

    Returns:
        Values in [0, 1], shape (...,); 0 where both boxes are empty, NaN where a box is NaN.

    Examples:
        >>> float(overlap(np.array([0.0, 0.0, 2.0, 2.0]), np.array([1.0, 0.0, 3.0, 2.0])).round(3))
        0.333
    """
    corners = np.concatenate(
        [np.maximum(first[..., :2], second[..., :2]), np.minimum(first[..., 2:], second[..., 2:])], axis=-1
    )
    shared = areas(corners)
    union = areas(first) + areas(second) - shared
    return np.asarray(shared / np.where(union == 0, 1.0, union), dtype=np.float64)
