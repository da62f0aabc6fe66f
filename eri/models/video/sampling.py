"""Which of a clip's cached frames a video model reads: indices, deterministic where a model is evaluated.

Where a clip has too few frames, its last one is repeated; a clip without frames is a ValueError.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def last_frames(available: int, count: int) -> Indices:
    """Return the indices of the last frames.

    Examples:
        >>> last_frames(12, 4), last_frames(2, 4)
        (array([ 8,  9, 10, 11]), array([0, 1, 1, 1]))
    """
    _refuse_empty(available)
    return np.minimum(np.arange(count, dtype=np.int64) + max(0, available - count), available - 1)


def spread_frames(available: int, count: int, generator: np.random.Generator | None) -> Indices:
    """Return ascending indices: drawn at random, each at most once, or the middles of equal parts.

    Examples:
        >>> spread_frames(10, 4, None).tolist(), spread_frames(3, 5, None).tolist()
        ([1, 3, 6, 8], [0, 1, 2, 2, 2])
    """
    if available <= count:
        return last_frames(available, count)
    if generator is None:
        return ((2 * np.arange(count, dtype=np.int64) + 1) * available) // (2 * count)
    return np.sort(generator.choice(available, count, replace=False)).astype(np.int64)


def piece_starts(
    available: int, *, pieces: int, length: int, overlap: int, starts: int, generator: np.random.Generator | None = None
) -> Indices:
    """Return the first frame of each of several overlapping pieces of consecutive frames.

    The first piece begins at one of the clip's first ``starts`` frames, drawn evenly among those from which all pieces
    fit; in their middle without a generator (Liu et al. 2022, section 4.1: 30 starts, 7 pieces of 15 frames that
    share 5, so 75 frames of 105). In a clip that is too short the last pieces run over its end.

    Examples:
        >>> piece_starts(105, pieces=7, length=15, overlap=5, starts=30)
        array([15, 25, 35, 45, 55, 65, 75])
    """
    _refuse_empty(available)
    step = length - overlap
    window = (pieces - 1) * step + length
    choices = max(1, min(starts, available - window + 1))
    first = choices // 2 if generator is None else int(generator.integers(choices))
    return first + step * np.arange(pieces, dtype=np.int64)


def piece_frames(
    starts: Indices, available: int, *, length: int, count: int, generator: np.random.Generator | None = None
) -> Indices:
    """Return ascending frames of each piece, (pieces, count): drawn without repetition, or evenly spread.

    Examples:
        >>> piece_frames(np.array([0, 10]), 25, length=15, count=5)
        array([[ 1,  4,  7, 10, 13],
               [11, 14, 17, 20, 23]])
    """
    if generator is None:
        inside = np.tile((2 * np.arange(count) + 1) * length // (2 * count), (len(starts), 1))
    else:
        inside = np.stack([np.sort(generator.choice(length, count, replace=False)) for _ in starts])
    chosen: Indices = np.minimum(starts[:, None] + inside, available - 1).astype(np.int64)
    return chosen


def _refuse_empty(available: int) -> None:
    if available < 1:
        raise ValueError("a clip without frames has none to choose from")
