"""One face crop a sampled frame: the way from frames to model inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eri.config import FaceConfig
from eri.media.faces.alignment import crop_transform, warp
from eri.media.faces.detection import Image
from eri.media.faces.registry import create_detector
from eri.media.faces.subject import find_subject, smooth
from eri.media.faces.tracking import Trajectory
from eri.media.state import State
from eri.media.video import FrameSequence

BLACK = 20
"""A frame is black when 99 % of its pixels have no channel above this value of 255."""


@dataclass(frozen=True, eq=False)
class Crops:
    """The subject of one clip.

    Attributes:
        images: RGB uint8 (valid rows, side, side, 3).
        states: A :class:`~eri.media.state.State` for every row, uint8 (rows,).
        boxes: float32 (rows, 4), x0, y0, x1, y1 in pixels of the frame, smoothed; NaN where there is no subject.
        scores: float32 (rows,), the detector's, linear in time between detections; NaN where there is no subject.
    """

    images: NDArray[np.uint8]
    states: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


def crop_faces(frames: FrameSequence, config: FaceConfig, side: int, *, device: str = "cpu") -> Crops:
    """Find one subject in a clip and cut it out of every frame.

    Black frames are left out of the search. The others are searched as :func:`~eri.media.faces.subject.find_subject`
    says; the box is smoothed, widened by the margin, and mapped straight from the frame to the crop. What lies beyond
    the frame's edge is black. The detector ``none`` takes the whole frame without a margin: centred in the square, its
    shape kept, black bars beside or above it.

    Args:
        frames: The clip's sampled frames.
        config: Face settings.
        side: Of the crops, in pixels.
        device: ``cpu``, ``cuda`` or ``cuda:<n>``; only ``retinaface`` uses it.

    Raises:
        WeightsError: Weights or shape predictor are absent, damaged or do not fit.
        MissingDependencyError: ``retinaface`` is asked for and the package retinaface-pytorch is not installed.
    """
    rows = len(frames.frames)
    detector = create_detector(config, device)
    states = np.full(rows, State.NO_FACE, dtype=np.uint8)
    black = np.array([is_black(frame) for frame in frames.frames], dtype=bool)
    states[black] = State.BLACK_FRAME
    boxes = np.full((rows, 4), np.nan, dtype=np.float32)
    scores = np.full(rows, np.nan, dtype=np.float32)
    lit = np.flatnonzero(~black)
    images = np.empty((0, side, side, 3), dtype=np.uint8)
    if len(lit):
        seen = frames.frames if len(lit) == rows else frames.frames[lit]
        path = find_subject(seen, frames.times[lit], detector, every=config.every, size=config.detection_size)
        if path is not None:
            path = smooth(path)
            boxes[lit], scores[lit] = path.boxes, path.scores
            states[lit[path.present]] = State.VALID
            images = _cut(seen, path, config, side)
    return Crops(images, states, boxes, scores)


def is_black(frame: Image) -> bool:
    """Return whether a frame shows next to nothing: 99 % of its pixels are darker than :data:`BLACK`.

    Examples:
        >>> is_black(np.full((48, 64, 3), 16, dtype=np.uint8)), is_black(np.full((48, 64, 3), 40, dtype=np.uint8))
        (True, False)
    """
    brightest = frame[::4, ::4].max(axis=2)
    return bool(np.mean(brightest > BLACK) < 0.01)


def _cut(frames: NDArray[np.uint8], path: Trajectory, config: FaceConfig, side: int) -> NDArray[np.uint8]:
    margin = 0.0 if config.detector == "none" else config.margin
    present = np.flatnonzero(path.present)
    images = np.empty((len(present), side, side, 3), dtype=np.uint8)
    for index, row in enumerate(present):
        points = path.landmarks[row] if config.align else None
        transform = crop_transform(path.boxes[row], points, margin=margin, side=side)
        images[index] = warp(frames[row], transform, side)
    return images
