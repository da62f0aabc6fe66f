"""The paired test over folds: by hand, and on the published folds of the 3D-CNN."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy import stats

from eri.evaluation.comparison import compare_folds

CK = [100.0] * 10
OULU_ON_CK = [93.9, 100, 84.8, 78.7, 87.8, 93.9, 93.9, 96.8, 87.5, 90]
TUNED_OULU_ON_CK = [96.8, 96.8, 84.8, 93.9, 87.8, 93.9, 78.7, 96.8, 87.5, 93.9]
OULU = [97.5, 97.5, 80, 82.5, 82.5, 80, 72.5, 97.5, 75, 77.5]
CK_ON_OULU = [81.2, 81.2, 70.8, 75, 72.9, 72.9, 83.3, 72.9, 72.9, 87.5]
TUNED_CK_ON_OULU = [85, 97.5, 75, 82.5, 77.5, 70, 65, 97.5, 75, 72.5]


@pytest.mark.parametrize(
    ("first", "second", "published"),
    [
        (CK, OULU_ON_CK, 0.00057),
        (CK, TUNED_OULU_ON_CK, 0.00067),
        (OULU, CK_ON_OULU, 0.03650),
        (OULU, TUNED_CK_ON_OULU, 0.00597),
    ],
)
def test_tables_4_and_5(first, second, published):
    result = compare_folds(first, second)
    assert result.p == pytest.approx(published, rel=0.04)
    assert result.significant
    assert result.p == pytest.approx(stats.ttest_rel(first, second, alternative="greater").pvalue)
    both = compare_folds(first, second, tail="two-sided")
    assert both.p == pytest.approx(stats.ttest_rel(first, second).pvalue)


def test_by_hand():
    # Differences 1, 2, 3: mean 2, deviation 1, so t = 2 √3; of two degrees of freedom the tail is 1/2 - t / 2√(t² + 2).
    result = compare_folds([5, 7, 9], [4, 5, 6])
    assert result.statistic == pytest.approx(2 * math.sqrt(3))
    assert result.p == pytest.approx(0.5 - math.sqrt(12) / (2 * math.sqrt(14)))
    assert (result.first, result.second, result.difference, result.folds) == (7, 5, 2, 3)


def test_correction_for_overlapping_train_sets_by_hand():
    # 1/3 + (1/4) / (3/4) is 2/3, so that the variance doubles.
    plain, corrected = compare_folds([5, 7, 9], [4, 5, 6]), compare_folds([5, 7, 9], [4, 5, 6], test_share=0.25)
    assert plain.statistic is not None
    assert corrected.statistic == pytest.approx(plain.statistic / math.sqrt(2))
    assert corrected.corrected


def test_order_of_the_systems():
    one, other = compare_folds(OULU, CK_ON_OULU), compare_folds(CK_ON_OULU, OULU)
    assert one.p is not None
    assert other.p == pytest.approx(1 - one.p)
    assert not other.significant


def test_folds_that_differ_by_nothing_or_always_the_same():
    nothing = compare_folds([0.1, 0.2], [0.1, 0.2])
    assert (nothing.statistic, nothing.p, nothing.significant) == (None, None, False)
    always = compare_folds([0.3, 0.4, 0.5], [0.2, 0.3, 0.4])
    assert (always.statistic, always.p, always.significant) == (math.inf, 0.0, True)


@pytest.mark.parametrize(
    ("first", "second", "options", "message"),
    [
        ([1], [2], {}, "two or more"),
        ([1, 2], [2], {}, "2 with 1"),
        ([1, math.nan], [2, 1], {}, "not finite"),
        ([1, 2], [2, 1], {"test_share": 1.0}, "on \\(0, 1\\)"),
    ],
)
def test_what_cannot_be_compared(first, second, options: dict[str, Any], message):
    with pytest.raises(ValueError, match=message):
        compare_folds(first, second, **options)
