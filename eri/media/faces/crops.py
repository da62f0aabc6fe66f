"""One face crop a sampled frame: upright by its landmarks where they are known, else as a square around its box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eri.config import FaceConfig
from eri.media.faces.detection import Image, centres
from eri.media.faces.registry import create_detector
from eri.media.faces.subject import find_subject, smooth
from eri.media.state import State
from eri.media.video import FrameSequence

BLACK = 20
"""A frame is black when 99 % of its pixels have no channel above this value of 255."""

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where the five landmarks of an upright face lie in a square of 112 pixels, as the published alignment of J. Deng et
al., ArcFace, CVPR 2019, and face recognition commonly have it."""

_TEMPLATE_SIDE = 112.0
# Real faces stay within 0.9 and 1.1 with RetinaFace and near 1.26 with dlib's tighter boxes.
_CONTRADICTION = 1.75
_REDUCE_BELOW = 0.75


@dataclass(frozen=True, eq=False)
class Crops:
    """The subject of one clip; boxes and scores are NaN where there is none."""

    images: NDArray[np.uint8]  # RGB (valid rows, side, side, 3)
    states: NDArray[np.uint8]  # a State for every row, (rows,)
    boxes: NDArray[np.float32]  # (rows, 4), x0, y0, x1, y1 in pixels of the frame, smoothed
    scores: NDArray[np.float32]  # (rows,), the detector's, linear in time between detections


def crop_faces(frames: FrameSequence, config: FaceConfig, side: int, *, device: str = "cpu") -> Crops:
    """Find one subject in a clip's sampled frames and cut it out of every one, ``side`` pixels wide and high.

    Black frames are left out of the search. The others are searched as :func:`~eri.media.faces.subject.find_subject`
    says; the box is smoothed, widened by the margin, and mapped straight from the frame to the crop. What lies beyond
    the frame's edge is black. The detector ``none`` takes the whole frame without a margin: centred in the square, its
    shape kept, black bars beside or above it. Errors are those of :func:`~eri.media.faces.registry.create_detector`.
    """
    rows = len(frames.frames)
    detector = create_detector(config, device)
    states = np.full(rows, State.NO_FACE, dtype=np.uint8)
    black = np.array([is_black(frame) for frame in frames.frames], dtype=bool)
    states[black] = State.BLACK_FRAME
    boxes = np.full((rows, 4), np.nan, dtype=np.float32)
    scores = np.full(rows, np.nan, dtype=np.float32)
    images = np.empty((0, side, side, 3), dtype=np.uint8)
    lit = np.flatnonzero(~black)
    if len(lit):
        seen = frames.frames if len(lit) == rows else frames.frames[lit]
        path = find_subject(seen, frames.times[lit], detector, every=config.every, size=config.detection_size)
        if path is not None:
            path = smooth(path)
            boxes[lit], scores[lit] = path.boxes, path.scores
            states[lit[path.present]] = State.VALID
            margin = 0.0 if config.detector == "none" else config.margin
            present = np.flatnonzero(path.present)
            images = np.empty((len(present), side, side, 3), dtype=np.uint8)
            for index, row in enumerate(present):
                points = path.landmarks[row] if config.align else None
                transform = crop_transform(path.boxes[row], points, margin=margin, side=side)
                images[index] = warp(seen[row], transform, side)
    return Crops(images, states, boxes, scores)


def is_black(frame: Image) -> bool:
    """Return whether a frame shows next to nothing: 99 % of its pixels are darker than :data:`BLACK`.

    Examples:
        >>> is_black(np.full((48, 64, 3), 16, dtype=np.uint8)), is_black(np.full((48, 64, 3), 40, dtype=np.uint8))
        (True, False)
    """
    brightest = frame[::4, ::4].max(axis=2)
    return bool(np.mean(brightest > BLACK) < 0.01)


def fit_similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation, scale and shift, (2, 3), that bring points, (n, 2), nearest to others in least squares.

    Source: S. Umeyama, Least-Squares Estimation of Transformation Parameters Between Two Point Patterns, PAMI 1991,
    eq. 40-42; in the plane and without reflection, complex numbers give it in closed form.

    Examples:
        >>> points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> fit_similarity(points, 2 * points + [3, 4]).round(6)
        array([[ 2., -0.,  3.],
               [ 0.,  2.,  4.]])
    """
    start, end = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    centred = start - start.mean()
    rotation = np.vdot(centred, end - end.mean()) / np.vdot(centred, centred)
    shift = end.mean() - rotation * start.mean()
    return np.array([[rotation.real, -rotation.imag, shift.real], [rotation.imag, rotation.real, shift.imag]])


def crop_transform(
    box: NDArray[np.float64], landmarks: NDArray[np.float64] | None, *, margin: float, side: int
) -> NDArray[np.float64]:
    """Return the similarity, (2, 3), from pixels of the image to those of a square crop.

    Landmarks (at least the eyes; unknown points are NaN) are brought to :data:`TEMPLATE`, whose square then stands for
    the box. Without them, the square is upright around the box, of its longer side; so it is with landmarks that
    contradict the box, their square's side and the box's longer side being more than a factor of 1.75 apart.
    ``margin`` is added on each side, as a share of the square.
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

    Pixel i covers [i, i + 1) in both. An image much finer than the crop is first reduced by averaging areas, so that
    nothing aliases.
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
