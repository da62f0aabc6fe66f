"""Linking the detections of single frames to tracks, and filling a track's boxes between them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eri.media.faces.detection import Detection, areas, centres, overlap

LONGEST_GAP = 1.0
"""Seconds: a face that was looked for in vain between two detections closer than this is taken as overlooked."""

_FARTHEST = 0.8
_LARGEST_RATIO = 2.0


@dataclass(frozen=True, eq=False)
class Track:
    """One face over the frames it was detected in.

    Attributes:
        rows: The frames' numbers, ascending.
        detections: One per row.
    """

    rows: tuple[int, ...]
    detections: tuple[Detection, ...]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Where one face is in every frame; NaN where it is not.

    Attributes:
        boxes: float64 (rows, 4), x0, y0, x1, y1 in pixels.
        scores: float64 (rows,).
        landmarks: float64 (rows, 5, 2) in pixels; a point that is not known is NaN too.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    landmarks: NDArray[np.float64]

    @property
    def present(self) -> NDArray[np.bool_]:
        """True where the face is in the frame, (rows,)."""
        return np.asarray(~np.isnan(self.scores))


def link(found: Mapping[int, Sequence[Detection]]) -> list[Track]:
    """Link detections to tracks.

    Frame by frame, each detection continues the track whose last box it overlaps most (intersection over union, then
    the nearer centre, then the track seen last), provided the centres lie within 0.8 box sides of each other and
    neither box is more than twice as large. What continues no track begins one.

    Args:
        found: The detections of each frame that was searched.

    Returns:
        Tracks in the order of their first row, then from left to right.
    """
    tracks: list[list[tuple[int, Detection]]] = []
    for row in sorted(found):
        faces = sorted(found[row], key=lambda face: tuple(face.box))
        free = set(range(len(faces)))
        for track, face in _pairs(tracks, faces):
            if face in free and tracks[track][-1][0] < row:
                tracks[track].append((row, faces[face]))
                free.remove(face)
        tracks.extend([(row, faces[face])] for face in sorted(free))
    return [Track(tuple(row for row, _ in track), tuple(detection for _, detection in track)) for track in tracks]


def _pairs(tracks: Sequence[Sequence[tuple[int, Detection]]], faces: Sequence[Detection]) -> list[tuple[int, int]]:
    """Return the (track, face) pairs that may belong together, the best first."""
    pairs = []
    for index, track in enumerate(tracks):
        row, last = track[-1]
        for face, detection in enumerate(faces):
            sides = np.sqrt(areas(np.stack([last.box, detection.box])))
            distance = float(np.linalg.norm(centres(last.box) - centres(detection.box)) / max(sides.mean(), 1e-9))
            if distance <= _FARTHEST and sides.max() <= _LARGEST_RATIO * sides.min():
                pairs.append((-float(overlap(last.box, detection.box)), distance, -row, index, face))
    return [(index, face) for *_, index, face in sorted(pairs)]


def fill(track: Track, searched: Collection[int], times: NDArray[np.float64]) -> Trajectory:
    """Return the track as one box a frame, linear in time between its detections.

    Between two detections the face is taken to be there all the time if no frame between was searched, or if they are
    at most :data:`LONGEST_GAP` apart.

    Args:
        track: The face.
        searched: Numbers of the frames that were searched.
        times: Seconds of all frames, (rows,).
    """
    known = np.stack([_row_of(detection) for detection in track.detections])
    filled = np.full((len(times), known.shape[1]), np.nan)
    filled[list(track.rows)] = known
    for index, (start, end) in enumerate(zip(track.rows, track.rows[1:], strict=False)):
        overlooked = any(start < row < end for row in searched)
        duration = float(times[end] - times[start])
        if overlooked and duration > LONGEST_GAP:
            continue
        share = (times[start + 1 : end] - times[start]) / duration if duration > 0 else np.zeros(end - start - 1)
        filled[start + 1 : end] = known[index] + share[:, None] * (known[index + 1] - known[index])
    return Trajectory(filled[:, :4], filled[:, 4], filled[:, 5:].reshape(-1, 5, 2))


def _row_of(detection: Detection) -> NDArray[np.float64]:
    points = np.full((5, 2), np.nan) if detection.landmarks is None else detection.landmarks
    return np.concatenate([detection.box, [detection.score], points.ravel()])
