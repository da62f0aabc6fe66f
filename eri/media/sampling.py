"""Choosing moments of a clip: even times, and the image that is on screen at each of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def even_times(start: float, end: float, count: int) -> NDArray[np.float64]:
    """Return the centres of ``count`` equal parts of the span from ``start`` to ``end``.

    Centres, not edges: the first frame is often a fade-in and the last the hand on the switch, and a clip of any
    length gives ``count`` distinct times without touching its end.

    Args:
        start: Seconds at which the first image appears.
        end: Seconds at which the last image goes; may equal ``start``.
        count: How many times, at least 1.

    Returns:
        Ascending float64 (count,), each in [start, end).

    Raises:
        ValueError: ``count`` under 1, a span that is not finite, or one that ends before it starts.

    Examples:
        >>> even_times(0.0, 8.0, 4).tolist()
        [1.0, 3.0, 5.0, 7.0]
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    if not (np.isfinite(start) and np.isfinite(end) and start <= end):
        raise ValueError(f"a span must be finite and must not end before it starts: {start} to {end}")
    return start + (end - start) * (np.arange(count, dtype=np.float64) + 0.5) / count


def on_screen(onsets: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return, for each time, the index of the image on screen: the last one that appeared at or before it.

    Args:
        onsets: Ascending seconds at which images appear, float64 (images,), at least one.
        times: Seconds, float64 (times,); before the first onset the first image counts as shown.

    Returns:
        Indices into ``onsets``, (times,).

    Raises:
        ValueError: There is no image.

    Examples:
        >>> on_screen(np.array([0.0, 0.1, 0.9]), np.array([0.05, 0.5, 0.9, 7.0])).tolist()
        [0, 1, 2, 2]
    """
    if not len(onsets):
        raise ValueError("no frames to choose from")
    return np.maximum(np.searchsorted(onsets, times, side="right") - 1, 0)
