"""The one subject of a clip: searching the sampled frames, linking detections to tracks, choosing one, smoothing it.

The rule: the face with the largest sum, over the frames it is in, of box area times score; a frame that was searched
for it in vain counts nothing. Of equals, the one that appears first, then the one further left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from eri.media.faces.detection import Detection, Detector, Image, areas, centres, overlap

LARGEST_SEARCH = 1280
"""Pixels: no image is enlarged beyond this longer side for a search."""
LONGEST_GAP = 1.0
"""Seconds: a face that was looked for in vain between two detections closer than this is taken as overlooked."""

_FARTHEST = 0.8
_LARGEST_RATIO = 2.0
_CENTRE_SIGMA = 0.75
_SIZE_SIGMA = 2.0
_SMALLEST_HALF = 1e-3


@dataclass(frozen=True, eq=False)
class Track:
    """One face over the frames it was detected in: their numbers, ascending, and a detection in each."""

    rows: tuple[int, ...]
    detections: tuple[Detection, ...]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Where one face is in every frame, in pixels; NaN where it is not, and for landmarks that are not known."""

    boxes: NDArray[np.float64]  # (rows, 4), x0, y0, x1, y1
    scores: NDArray[np.float64]  # (rows,)
    landmarks: NDArray[np.float64]  # (rows, 5, 2)

    @property
    def present(self) -> NDArray[np.bool_]:
        """True where the face is in the frame, (rows,)."""
        return np.asarray(~np.isnan(self.scores))


def link(found: Mapping[int, Sequence[Detection]]) -> list[Track]:
    """Link the detections of the frames that were searched to tracks, in the order of first row, then left to right.

    Frame by frame, each detection continues the track whose last box it overlaps most (intersection over union, then
    the nearer centre, then the track seen last), provided the centres lie within 0.8 box sides of each other and
    neither box is more than twice as large. What continues no track begins one.
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
    return [Track(tuple(row for row, _ in track), tuple(face for _, face in track)) for track in tracks]


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

    Between two detections the face is taken to be there all the time if no frame between was ``searched``, or if they
    are at most :data:`LONGEST_GAP` apart; ``times`` are the seconds of all frames.
    """
    known = np.stack([_row_of(detection) for detection in track.detections])
    filled = np.full((len(times), known.shape[1]), np.nan)
    filled[list(track.rows)] = known
    for index, (start, end) in enumerate(pairwise(track.rows)):
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


class Search:
    """What was found so far in the frames of one clip, uint8 (rows, height, width, 3).

    A frame without a face at the configured size is searched again at its full size. When the whole clip shows none,
    its frames are searched once more, enlarged twice.
    """

    def __init__(self, images: NDArray[np.uint8], detector: Detector, size: int) -> None:
        self._images = images
        self._detector = detector
        full = max(images.shape[1:3])
        self._sizes = [size, full] if full > size else [size]
        self._largest = min(2 * self._sizes[-1], LARGEST_SEARCH)
        self.found: dict[int, list[Detection]] = {}

    def look(self, rows: Iterable[int]) -> None:
        """Search frames that were not searched before."""
        new = [row for row in dict.fromkeys(rows) if row not in self.found]
        self.found |= {row: [] for row in new}
        for size in self._sizes:
            self._detect(new, size)

    def look_harder(self) -> None:
        """Search every searched frame again, enlarged; frames searched from now on are enlarged too."""
        if self._largest > self._sizes[-1]:
            self._sizes.append(self._largest)
            self._detect(sorted(self.found), self._largest)

    def _detect(self, rows: Sequence[int], size: int) -> None:
        empty = [row for row in rows if not self.found[row]]
        images: list[Image] = [self._images[row] for row in empty]
        self.found |= dict(zip(empty, self._detector.detect(images, size=size), strict=True))


def find_subject(
    images: NDArray[np.uint8], times: NDArray[np.float64], detector: Detector, *, every: int, size: int
) -> Trajectory | None:
    """Find the subject's unsmoothed path through a clip, uint8 (rows, height, width, 3); None without any face.

    Every ``every``-th frame is searched, the first and the last too, first with its longer side at ``size`` pixels.
    Where the subject is in one searched frame and not in the next, the frames between are searched as well, so that it
    enters and leaves at the right one.
    """
    search = Search(images, detector, size)
    rows = len(images)
    search.look([*range(0, rows, every), rows - 1])
    if not any(search.found.values()):
        search.look_harder()
    while tracks := link(search.found):
        paths = [fill(track, search.found, times) for track in tracks]
        weights = [_weight(path, search.found.keys() - track.rows) for track, path in zip(tracks, paths, strict=True)]
        chosen = int(np.argmax(weights))
        unsure = _edges(tracks[chosen], sorted(search.found))
        if not unsure:
            return paths[chosen]
        search.look(unsure)
    return None


def _weight(path: Trajectory, vain: Iterable[int]) -> float:
    evidence = areas(path.boxes) * np.maximum(path.scores, 0.0)
    evidence[list(vain)] = 0.0
    return float(np.nansum(evidence))


def _edges(track: Track, searched: Sequence[int]) -> list[int]:
    """Return the frames not searched that lie between two searched ones, of which one shows the face."""
    rows = set(track.rows)
    gaps = (range(before + 1, after) for before, after in pairwise(searched) if (before in rows) != (after in rows))
    return [row for gap in gaps for row in gap]


def smooth(path: Trajectory) -> Trajectory:
    """Return the path without the jitter of single detections.

    Each value becomes that of a line fitted to the neighbouring frames in which the face stays, so that steady motion
    is kept to the ends (W. S. Cleveland, Robust Locally Weighted Regression, JASA 1979, with degree one and without its
    robustness). Gaussian weights of 0.75 frames for the centre and the landmarks, of 2 frames for width and height,
    which detectors give in coarse steps.
    """
    half = (path.boxes[:, 2:] - path.boxes[:, :2]) / 2
    centre = _smooth_runs(centres(path.boxes), path.present, _CENTRE_SIGMA)
    # Sizes as logarithms, so that no line leads below zero.
    logarithms = np.log(np.maximum(half, _SMALLEST_HALF))
    half = half * np.exp(_smooth_runs(logarithms, path.present, _SIZE_SIGMA) - logarithms)
    points = path.landmarks.reshape(len(half), -1)
    landmarks = _smooth_runs(points, path.present, _CENTRE_SIGMA).reshape(path.landmarks.shape)
    return Trajectory(np.concatenate([centre - half, centre + half], axis=1), path.scores, landmarks)


def _smooth_runs(values: NDArray[np.float64], present: NDArray[np.bool_], sigma: float) -> NDArray[np.float64]:
    smoothed = values.copy()
    changes = np.flatnonzero(np.diff(np.concatenate([[0], present.astype(np.int8), [0]])))
    for start, end in changes.reshape(-1, 2):
        if end - start > 1:
            run = values[start:end]
            # A difference from the row's own value keeps rows exact that do not change.
            smoothed[start:end] += np.einsum("ij,ijk->ik", _line_weights(end - start, sigma), run[None] - run[:, None])
    return smoothed


def _line_weights(rows: int, sigma: float) -> NDArray[np.float64]:
    """Return the share of each row (second axis) in the locally fitted line at each row (first axis), rows ≥ 2."""
    distance = np.arange(rows)[None, :] - np.arange(rows)[:, None]
    weights = np.exp(-0.5 * (distance / sigma) ** 2)
    zeroth, first, second = ((weights * distance**power).sum(axis=1, keepdims=True) for power in range(3))
    shares = weights * (second - distance * first) / (zeroth * second - first**2)
    return np.asarray(shares, dtype=np.float64)
