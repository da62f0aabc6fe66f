"""Cutting a face out of a image: upright by its landmarks where they are known, else as a square around its box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eri.media.faces.detection import Image, centres

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where the five landmarks of an upright face lie in a square of 112 pixels, as face recognition commonly has it.

Source: J. Deng et al., ArcFace, CVPR 2019, whose published alignment uses these points.
"""

_TEMPLATE_SIDE = 112.0
# Real faces stay within 0.9 and 1.1 with RetinaFace and near 1.26 with dlib's tighter boxes.
_CONTRADICTION = 1.75
_REDUCE_BELOW = 0.75


def fit_similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation, scale and shift that brings points nearest to others, in the least-squares sense.

    Source: S. Umeyama, Least-Squares Estimation of Transformation Parameters Between Two Point Patterns, PAMI 1991,
    eq. 40-42; in the plane and without reflection, complex numbers give it in closed form.

    Args:
        source: (n, 2), at least two points that differ.
        target: (n, 2).

    Returns:
        float64 (2, 3), to be multiplied with (x, y, 1).

    Examples:
        >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> fit_similarity(points, 2 * points + [3, 4]).round(6)
        array([[ 2., -0.,  3.],
               [ 0.,  2.,  4.]])
    """
    start, end = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    centred = start - start.mean()
    turn = np.vdot(centred, end - end.mean()) / np.vdot(centred, centred)
    shift = end.mean() - turn * start.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def crop_transform(
    box: NDArray[np.float64], landmarks: NDArray[np.float64] | None, *, margin: float, side: int
) -> NDArray[np.float64]:
    """Return the similarity from image coordinates to a square crop.

    Landmarks (at least the eyes) are brought to :data:`TEMPLATE`, whose square then stands for the box. Without them,
    the square is upright around the box, of its longer side; so it is with landmarks that contradict the box, their
    square's side and the box's longer side being more than a factor of 1.75 apart.

    Args:
        box: (4,) in pixels.
        landmarks: (5, 2) in pixels, unknown points NaN; or None.
        margin: Added on each side, as a share of the square.
        side: Of the crop, in pixels.

    Returns:
        float64 (2, 3).
    """
    length = max(float((box[2:] - box[:2]).max()), 1.0)
    if landmarks is not None and np.isfinite(landmarks[:2]).all() and (landmarks[0] != landmarks[1]).any():
        known = np.isfinite(landmarks[:, 0])
        target = (TEMPLATE[known] / _TEMPLATE_SIDE - 0.5) / (1 + 2 * margin) + 0.5
        fitted = fit_similarity(landmarks[known], target * side)
        square = side / (np.hypot(fitted[0, 0], fitted[1, 0]) * (1 + 2 * margin))
        if length / _CONTRADICTION <= square <= length * _CONTRADICTION:
            return fitted
    scale = side / (length * (1 + 2 * margin))
    shift = side / 2 - scale * centres(box)
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


def warp(image: Image, transform: NDArray[np.float64], side: int) -> Image:
    """Return the square that a similarity maps onto (0, 0) to (side, side); what lies outside the image is black.

    An image much finer than the crop is first reduced by averaging areas, so that nothing aliases.

    Args:
        image: RGB uint8 (height, width, 3).
        transform: (2, 3) from image to crop, in pixels; pixel i covers [i, i + 1) in both.
        side: Of the crop, in pixels.

    Returns:
        RGB uint8 (side, side, 3).
    """
    import cv2

    part, transform = _reduce(image, transform, side)
    # OpenCV counts from the centres of pixels, half a pixel inside.
    linear = transform[:, :2]
    shift = transform[:, 2] + linear @ np.array([0.5, 0.5]) - 0.5
    matrix = np.column_stack([linear, shift])
    crop = cv2.warpAffine(
        part, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0)
    )
    return np.asarray(crop, dtype=np.uint8)


def _reduce(image: Image, transform: NDArray[np.float64], side: int) -> tuple[Image, NDArray[np.float64]]:
    """Cut the part that the crop shows and shrink it to nearly the crop's own resolution; adapt the transform."""
    import cv2

    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    if scale >= _REDUCE_BELOW:
        return image, transform
    inverse = np.linalg.inv(transform[:, :2])
    corners = (np.array([[0, 0], [side, 0], [0, side], [side, side]]) - transform[:, 2]) @ inverse.T
    extent = np.array([image.shape[1], image.shape[0]])
    padding = 2 / scale
    low = np.clip(np.floor(corners.min(axis=0) - padding), 0, extent - 1).astype(int)
    high = np.maximum(np.clip(np.ceil(corners.max(axis=0) + padding), 1, extent).astype(int), low + 1)
    part = image[low[1] : high[1], low[0] : high[0]]
    size = np.maximum(np.round((high - low) * scale), 1).astype(int)
    reduced = np.asarray(cv2.resize(part, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    growth = (high - low) / size
    adapted = np.column_stack([transform[:, :2] * growth, transform[:, 2] + transform[:, :2] @ low])
    return reduced, adapted
