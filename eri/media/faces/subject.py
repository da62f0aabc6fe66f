"""The one subject of a clip: searching the sampled frames, choosing a face by a stated rule, smoothing its path.

The rule: the face with the largest sum, over the frames it is in, of box area times score; a frame that was searched
for it in vain counts nothing. Of equals, the one that appears first, then the one further left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from eri.media.faces.detection import Detection, Detector, Image, areas, centres
from eri.media.faces.tracking import Track, Trajectory, fill, link

LARGEST_SEARCH = 1280
"""Pixels: no image is enlarged beyond this longer side for a search."""

_CENTRE_SIGMA = 0.75
_SIZE_SIGMA = 2.0
_SMALLEST_HALF = 1e-3


class Search:
    """What was found so far in the frames of one clip.

    A frame without a face at the configured size is searched again at its full size. When the whole clip shows none,
    its frames are searched once more, enlarged twice.

    Args:
        images: uint8 (rows, height, width, 3) RGB.
        detector: Finds the faces.
        size: Longer side of the images that the detector sees first, in pixels.
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
    """Find the subject in every frame of a clip.

    Every ``every``-th frame is searched, the first and the last too. Where the subject is in one searched frame and
    not in the next, the frames between are searched as well, so that it enters and leaves at the right one.

    Args:
        images: uint8 (rows, height, width, 3) RGB, rows ≥ 1.
        times: Seconds of the frames, ascending, (rows,).
        detector: Finds the faces.
        every: Distance of the frames that are searched first.
        size: Longer side of the images that the detector sees first, in pixels.

    Returns:
        Its unsmoothed path, or None when no face was found.
    """
    search = Search(images, detector, size)
    rows = len(images)
    search.look([*range(0, rows, every), rows - 1])
    if not any(search.found.values()):
        search.look_harder()
    while True:
        tracks = link(search.found)
        if not tracks:
            return None
        paths = [fill(track, search.found, times) for track in tracks]
        weights = [_weight(path, search.found.keys() - track.rows) for track, path in zip(tracks, paths, strict=True)]
        chosen = int(np.argmax(weights))
        unsure = _edges(tracks[chosen], sorted(search.found))
        if not unsure:
            return paths[chosen]
        search.look(unsure)


def _weight(path: Trajectory, vain: Iterable[int]) -> float:
    evidence = areas(path.boxes) * np.maximum(path.scores, 0.0)
    evidence[list(vain)] = 0.0
    return float(np.nansum(evidence))


def _edges(track: Track, searched: Sequence[int]) -> list[int]:
    """Return the frames not searched that lie between two searched ones, of which one shows the face."""
    rows = set(track.rows)
    return [
        row
        for before, after in pairwise(searched)
        if (before in rows) != (after in rows)
        for row in range(before + 1, after)
    ]


def smooth(path: Trajectory) -> Trajectory:
    """Return the path without the jitter of single detections.

    Each value becomes that of a line fitted to the neighbouring frames in which the face stays, so that steady motion
    is kept to the ends. Gaussian weights of 0.75 frames for the centre and the landmarks, of 2 frames for width and
    height, which detectors give in coarse steps.

    Source: W. S. Cleveland, Robust Locally Weighted Regression, JASA 1979, with degree one and without its robustness.
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
