"""Which of a clip's cached frames a video model reads: indices, deterministic where a model is evaluated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def last_frames(available: int, count: int) -> Indices:
    """Return the indices of the last frames; where there are fewer, all of them and the last one repeated.

    Args:
        available: Frames of the clip, at least 1.
        count: Indices to return.

    Examples:
        >>> last_frames(12, 4), last_frames(2, 4)
        (array([ 8,  9, 10, 11]), array([0, 1, 1, 1]))
    """
    _refuse_empty(available)
    return np.minimum(np.arange(count, dtype=np.int64) + max(0, available - count), available - 1)


def piece_starts(
    available: int, *, pieces: int, length: int, overlap: int, starts: int, generator: np.random.Generator | None = None
) -> Indices:
    """Return the first frame of each of several overlapping pieces of consecutive frames.

    The first piece begins at one of the clip's first ``starts`` frames, drawn evenly among those from which all pieces
    fit; in their middle without a generator (Liu et al. 2022, section 4.1: 30 starts, 7 pieces of 15 frames that
    share 5, so 75 frames of 105).

    Args:
        available: Frames of the clip, at least 1.
        pieces: Number of pieces.
        length: Frames of a piece.
        overlap: Frames that a piece shares with the next, below ``length``.
        starts: First frames that the first piece may begin at.
        generator: Draws the first frame; None is evaluation.

    Returns:
        int64 (pieces,). In a clip that is too short the last pieces run over its end.

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
    """Return frames of each piece: drawn without repetition, or evenly spread without a generator.

    Args:
        starts: First frame of each piece.
        available: Frames of the clip; an index beyond its end becomes its last.
        length: Frames of a piece.
        count: Frames to take of each, at most ``length``.
        generator: Draws them; None is evaluation.

    Returns:
        int64 (pieces, count), ascending within a piece.

    Examples:
        >>> piece_frames(np.array([0, 10]), 25, length=15, count=5)
        array([[ 1,  4,  7, 10, 13],
               [11, 14, 17, 20, 23]])
    """
    if generator is None:
        inside = np.tile((2 * np.arange(count) + 1) * length // (2 * count), (len(starts), 1))
    else:
        draws = [np.sort(generator.choice(length, count, replace=False)) for _ in starts]
        inside = np.stack(draws)
    chosen: Indices = np.minimum(starts[:, None] + inside, available - 1).astype(np.int64)
    return chosen


def _refuse_empty(available: int) -> None:
    if available < 1:
        raise ValueError("a clip without frames has none to choose")
