"""Whether one architecture scores higher than another over the folds of a cross-validation: a paired t-test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class FoldComparison:
    """Two systems on the same folds.

    Attributes:
        folds: Their number.
        first: Mean score of the first.
        second: Mean score of the second.
        difference: First minus second.
        statistic: Student's t; infinite where all folds differ by the same amount, None where none differs.
        p: Chance of a difference at least as large if there were none; None where no fold differs.
        significant: Whether ``p`` is below the level.
        tail: Which differences count: ``greater`` only those in favour of the first.
        corrected: Whether the variance was corrected for train sets that overlap.
    """

    folds: int
    first: float
    second: float
    difference: float
    statistic: float | None
    p: float | None
    significant: bool
    tail: Literal["greater", "two-sided"]
    corrected: bool


def compare_folds(
    first: Sequence[float],
    second: Sequence[float],
    *,
    tail: Literal["greater", "two-sided"] = "greater",
    test_share: float | None = None,
    level: float = SIGNIFICANCE,
) -> FoldComparison:
    """Test whether the first system scores higher than the second over the same folds.

    Haddad et al. 2020 do not name the test of their tables 4 and 5. Of the usual ones a paired t-test with one tail
    alone gives their p-values from their scores: 0.00057, 0.00065, 0.0362 and 0.00598, where they print 0.00057,
    0.00067, 0.03650 and 0.00597.

    The folds' train sets overlap, so that the plain test finds differences too readily. With ``test_share`` the
    variance is that of Nadeau & Bengio (2003): ``(1/n + test / train) σ²`` in place of ``σ² / n``.

    Args:
        first: Score of each fold, larger is better.
        second: Scores of the same folds in the same order.
        tail: ``greater``, or ``two-sided`` where no direction was expected beforehand.
        test_share: Share of the clips in one fold's test set, on (0, 1); None is the plain test of the paper.
        level: Below which a p-value is called significant.

    Raises:
        ValueError: Fewer than two folds, different numbers of them, a score that is not finite, or a share outside
            (0, 1).

    Examples:
        >>> result = compare_folds([81, 84, 80, 85], [80, 82, 80, 82])
        >>> round(result.statistic, 4), round(result.p, 4), result.significant
        (2.3238, 0.0514, False)
    """
    from scipy.stats import t as student

    gaps = _gaps(first, second)
    if test_share is not None and not 0 < test_share < 1:
        raise ValueError(f"test_share is on (0, 1), not {test_share}")
    number = len(gaps)
    mean, variance = float(gaps.mean()), float(gaps.var(ddof=1))
    # Scores such as 0.1 + 0.2 leave differences that are equal but for their last digit.
    if variance <= (1e-12 * float(np.abs([first, second]).max())) ** 2:
        variance = 0.0
    factor = 1 / number + (0.0 if test_share is None else test_share / (1 - test_share))
    statistic, p = None, None
    if variance > 0:
        statistic = mean / math.sqrt(factor * variance)
    elif mean != 0:
        statistic = math.copysign(math.inf, mean)
    if statistic is not None:
        p = float(student.sf(statistic, number - 1))
        p = p if tail == "greater" else 2 * min(p, 1 - p)
    return FoldComparison(
        folds=number,
        first=float(np.mean(first)),
        second=float(np.mean(second)),
        difference=mean,
        statistic=statistic,
        p=p,
        significant=p is not None and p < level,
        tail=tail,
        corrected=test_share is not None,
    )


def _gaps(first: Sequence[float], second: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"the same two or more folds are compared, not {len(first)} with {len(second)}")
    gaps = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    if not np.isfinite(gaps).all():
        raise ValueError("a fold's score is not finite")
    return gaps
