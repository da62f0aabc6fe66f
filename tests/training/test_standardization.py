"""Streamed statistics against NumPy on everything at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eri.training.features import ModalityFeatures
from eri.training.standardization import fit


@settings(deadline=None)
@given(st.integers(1, 40), st.sampled_from([0.0, 5.0, 1e4]), st.sampled_from([1e-2, 1.0, 1e3]), st.integers(0, 99))
def test_equals_numpy_over_valid_rows(clips, offset, spread, seed):
    generator = np.random.default_rng(seed)
    rows = (offset + spread * generator.normal(size=(clips * 3, 4))).astype(np.float32)
    states = generator.integers(0, 2, size=len(rows)).astype(np.uint8)
    states[0] = 0
    ids = [str(index) for index in range(clips)]
    features = ModalityFeatures.from_arrays(rows, np.arange(clips + 1) * 3, states, ids)
    chosen = ids[: clips // 2 + 1]
    mean, deviation = fit(features, chosen)
    valid = rows[: len(chosen) * 3][states[: len(chosen) * 3] == 0].astype(np.float64)
    np.testing.assert_allclose(mean, valid.mean(axis=0), rtol=1e-12, atol=1e-12 * spread)
    np.testing.assert_allclose(deviation, valid.std(axis=0), rtol=1e-9, atol=1e-9 * spread)


def test_many_blocks_and_any_order_of_clips():
    generator = np.random.default_rng(0)
    rows = (1e4 + generator.normal(size=(9000, 2))).astype(np.float32)
    ids = [str(index) for index in range(90)]
    features = ModalityFeatures.from_arrays(rows, np.arange(91) * 100, np.zeros(9000, np.uint8), ids)
    mean, deviation = fit(features, ids)
    np.testing.assert_allclose(mean, rows.astype(np.float64).mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(deviation, rows.astype(np.float64).std(axis=0), rtol=1e-10)
    assert np.array_equal(mean, fit(features, ids[::-1])[0])


def test_no_row_at_all():
    features = ModalityFeatures.from_arrays(np.ones((2, 3), np.float32), np.array([0, 2]), np.ones(2, np.uint8), ["a"])
    mean, deviation = fit(features, ["a"])
    assert (mean.tolist(), deviation.tolist()) == ([0, 0, 0], [1, 1, 1])


def test_a_feature_that_does_not_vary():
    rows = np.full((5000, 1), 0.1, dtype=np.float32)
    features = ModalityFeatures.from_arrays(rows, np.array([0, 5000]), np.zeros(5000, np.uint8), ["a"])
    mean, deviation = fit(features, ["a"])
    assert mean[0] == pytest.approx(0.1)
    assert deviation[0] < 1e-9
