"""Bootstrap intervals: resamples of the clips, or of whole subjects, that every score of the same clips shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
LEVEL = 0.95
_BLOCK_VALUES = 2_000_000  # counts that one block of resamples may hold (16 MB)


@dataclass(frozen=True)
class Interval:
    """A percentile bootstrap interval of a score, or of the difference of two."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"[{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Bootstrap:
    """How the intervals were made; the fields are named as score files have them.

    ``draws`` is the number of resamples, ``level`` their share inside an interval. ``degenerate`` counts those in which
    a label became constant, or a class lost all clips; the former are left out of the mean's interval.
    """

    draws: int
    seed: int
    level: float
    degenerate: int


def resample_counts(
    clips: int, *, resamples: int, seed: int, subjects: Sequence[str] | None = None
) -> Iterator[NDArray[np.float64]]:
    """Draw clips with replacement, or subjects with all their clips; yield blocks of counts, (resamples, clips).

    Drawing subjects is the cluster bootstrap (Davison & Hinkley 1997, 3.8), for clips of one subject that are alike. It
    takes two subjects (else ValueError). Any two sets of predictions of the same clips are scored on the same resamples
    of a seed: the difference of their scores is the paired bootstrap (Efron & Tibshirani 1993, chapter 16).

    >>> counts = next(resample_counts(3, resamples=100, seed=0, subjects=["ann", "ann", "bob"]))
    >>> counts.shape, bool((counts[:, 0] == counts[:, 1]).all()), set((counts[:, 0] + counts[:, 2]).tolist())
    ((100, 3), True, {2.0})
    """
    names, members = np.unique(np.asarray(() if subjects is None else subjects), return_inverse=True)
    if subjects is not None and len(names) < 2:
        raise ValueError("resampling subjects needs two of them at least")
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK_VALUES // max(1, clips))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        if subjects is None:
            places = generator.integers(clips, size=(size, clips)) + clips * np.arange(size)[:, np.newaxis]
            counts = np.bincount(places.ravel(), minlength=size * clips).reshape(size, clips)
        else:
            counts = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=size)[:, members]
        yield counts.astype(np.float64)


def score_resamples(
    score: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    clips: int,
    resamples: int,
    seed: int,
    subjects: Sequence[str] | None,
) -> NDArray[np.float64]:
    """Score each resample, (scores, resamples), by a function of blocks of counts that returns (scores, block)."""
    if resamples < 0:
        raise ValueError(f"resamples is {resamples}; it cannot be negative")
    blocks = [score(counts) for counts in resample_counts(clips, resamples=resamples, seed=seed, subjects=subjects)]
    return np.concatenate(blocks or [score(np.empty((0, clips)))], axis=1)


def percentile_interval(resampled: NDArray[np.float64], level: float = LEVEL) -> Interval | None:
    """Take percentiles of the resamples in which a score is defined, (resamples,); None when at most half are."""
    defined = resampled[np.isfinite(resampled)]
    if 2 * len(defined) <= len(resampled):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
