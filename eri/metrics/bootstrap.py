"""Resamples of whole subjects, for bootstraps of clips that are not independent of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK_VALUES = 2_000_000
"""Weights that one block of resamples may hold (16 MB)."""


def resampled_subjects(subjects: Sequence[str], *, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Draw subjects with replacement, each with all its clips: the cluster bootstrap (Davison & Hinkley 1997, 3.8).

    The subjects drawn depend on those of the clips, the number of draws and the seed alone.

    Args:
        subjects: Whose each clip is, (clips,), two subjects at least.
        draws: Resamples.
        seed: Of the generator.

    Yields:
        Blocks of how often each clip stands in a resample, float64 (up to ``draws`` in all, clips).

    Raises:
        ValueError: There are fewer than two subjects.

    Examples:
        >>> weights = next(resampled_subjects(["ann", "ann", "bob"], draws=100, seed=0))
        >>> weights.shape, bool((weights[:, 0] == weights[:, 1]).all()), set((weights[:, 0] + weights[:, 2]).tolist())
        ((100, 3), True, {2.0})
    """
    names, members = np.unique(np.asarray(subjects), return_inverse=True)
    if len(names) < 2:
        raise ValueError("resampling subjects needs two of them at least")
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK_VALUES // len(members))
    for start in range(0, draws, block):
        counts = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=min(block, draws - start))
        yield counts[:, members].astype(np.float64)
