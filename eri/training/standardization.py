"""Mean and deviation of features in float64, streamed over the valid rows of the train clips."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from eri.training.features import ModalityFeatures

_BLOCK = 2048


def fit_centered(features: ModalityFeatures, ids: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure each feature over the valid rows of clips after each clip has lost its own mean.

    Args:
        features: To read from.
        ids: The train clips.

    Returns:
        Mean, which is 0, and (population) deviation within clips, float64 (dimension,) each; 0 and 1 when there is no
        row.

    Examples:
        >>> rows = np.array([[1.0], [3.0], [7.0], [9.0]], dtype=np.float32)
        >>> packed = ModalityFeatures.from_arrays(rows, np.array([0, 2, 4]), np.zeros(4, np.uint8), ["a", "b"])
        >>> [values.tolist() for values in fit_centered(packed, ["a", "b"])]
        [[0.0], [1.0]]
    """
    count, squares = 0, np.zeros(features.dimension)
    for clip_id in sorted(ids):
        clip = features.take(np.sort(features.rows_of([clip_id])[0])).astype(np.float64)
        if len(clip):
            squares += ((clip - clip.mean(axis=0)) ** 2).sum(axis=0)
            count += len(clip)
    return np.zeros(features.dimension), np.sqrt(squares / count) if count else np.ones(features.dimension)


def fit(features: ModalityFeatures, ids: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure each feature over the valid rows of clips.

    Blocks of fixed size are merged (Chan, Golub & LeVeque 1979), so memory is bounded, a large mean does not cancel the
    deviation, and the figures are the same whether the features are in memory or mapped.

    Args:
        features: To read from.
        ids: The train clips; every valid row counts the same, whichever clip it is of.

    Returns:
        Mean and (population) deviation, float64 (dimension,) each; 0 and 1 when there is no row.

    Examples:
        >>> rows = np.array([[1.0], [3.0], [99.0]], dtype=np.float32)
        >>> packed = ModalityFeatures.from_arrays(rows, np.array([0, 3]), np.array([0, 0, 1], np.uint8), ["a"])
        >>> [values.tolist() for values in fit(packed, ["a"])]
        [[2.0], [1.0]]
    """
    rows = np.sort(features.rows_of(ids)[0])
    return merge(
        (features.take(rows[start : start + _BLOCK]) for start in range(0, len(rows), _BLOCK)),
        features.dimension,
    )


def merge(blocks: Iterable[NDArray[np.float32]], dimension: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure each feature over blocks of rows, (rows, dimension) each, as :func:`fit` does."""
    count, mean, squares = 0, np.zeros(dimension), np.zeros(dimension)
    for rows in blocks:
        block = rows.astype(np.float64)
        size = len(block)
        if size == 0:
            continue
        own = block.mean(axis=0)
        shift = own - mean
        squares += ((block - own) ** 2).sum(axis=0) + shift**2 * (count * size / (count + size))
        count += size
        mean += shift * (size / count)
    return mean, np.sqrt(squares / count) if count else np.ones(dimension)
