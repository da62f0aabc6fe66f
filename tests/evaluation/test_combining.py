"""Combinations: each finds what is there to find, and comes back from JSON to the bit."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eri.evaluation.ensembling import Method, fit_combination, fit_ridge, fit_weights
from eri.metrics.intensities import pearson
from eri.runs.combination import Weights, from_json, to_json

METHODS: tuple[Method, ...] = get_args(Method)


def make_members(noises: list[float], clips: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = generator.random((clips, 3))
    return np.stack([truth + noise * generator.normal(size=truth.shape) for noise in noises]), truth


class TestWeights:
    @settings(max_examples=25, deadline=None)
    @given(noises=st.lists(st.floats(0.05, 3.0), min_size=2, max_size=5), seed=st.integers(0, 99))
    def test_on_the_simplex_and_no_worse_than_any_member_or_the_mean(self, noises, seed):
        stacked, truth = make_members(noises, seed=seed)
        weights = fit_weights(stacked, truth)
        assert min(weights.values) >= 0
        assert sum(weights.values) == pytest.approx(1)
        reached = pearson(weights.combine(stacked), truth).mean()
        rivals = [*stacked, stacked.mean(axis=0)]
        assert reached >= max(pearson(rival, truth).mean() for rival in rivals) - 1e-6

    def test_quiet_members_weigh_more(self):
        weights = fit_weights(*make_members([0.2, 0.4, 0.8], clips=2000)).values
        # Independent noise: the best weights go with the inverse variance, 16 : 4 : 1.
        assert weights == pytest.approx([16 / 21, 4 / 21, 1 / 21], abs=0.03)

    def test_constant_members_and_labels(self):
        stacked, truth = make_members([0.2, 0.4])
        stacked[1] = 0.5
        assert fit_weights(stacked, truth).values[0] > 0
        assert fit_weights(stacked, np.full_like(truth, 0.3)) == Weights((0.5, 0.5))


def test_ridge_is_the_least_squares_where_there_is_no_noise():
    generator = np.random.default_rng(0)
    stacked = generator.random((2, 50, 2))
    truth = 0.3 * stacked[0] - 0.2 * stacked[1][:, ::-1] + 0.1
    np.testing.assert_allclose(fit_ridge(stacked, truth).combine(stacked), truth, atol=1e-3)


def test_ridge_shrinks_what_is_noise():
    stacked, truth = make_members([0.3, 5.0], clips=80)
    coefficients = np.abs(np.asarray(fit_ridge(stacked, truth).coefficients))
    assert coefficients[:3].max() > 10 * coefficients[3:].max()


@pytest.mark.parametrize("method", METHODS)
class TestEvery:
    def test_comes_back_from_json(self, method):
        stacked, truth = make_members([0.2, 0.4])
        combination = fit_combination(method, stacked, truth)
        again = from_json(json.loads(json.dumps(to_json(combination))))
        np.testing.assert_array_equal(again.combine(stacked), combination.combine(stacked))

    def test_finds_the_signal(self, method):
        stacked, truth = make_members([0.2, 0.4], clips=300)
        combination = fit_combination(method, stacked[:, :200], truth[:200])
        assert pearson(combination.combine(stacked[:, 200:]), truth[200:]).mean() > 0.75


def test_unknown_kind():
    with pytest.raises(ValueError, match="'Oracle' is unknown"):
        from_json({"kind": "Oracle"})
