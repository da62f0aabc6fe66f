"""Functionals: the numbers of NumPy and SciPy over valid rows, and names for every one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import linregress

from eri.config import FUNCTIONALS
from eri.media.state import State
from eri.training.features import FeatureSet, ModalityFeatures
from eri.training.trees.functionals import clip_functionals, functional_names, summarize
from eri.utils.errors import DataError


def modality(rows, offsets, states=None) -> ModalityFeatures:
    values = np.asarray(rows, dtype=np.float32)
    states = np.zeros(len(values), dtype=np.uint8) if states is None else np.asarray(states, dtype=np.uint8)
    ids = [f"clip{index}" for index in range(len(offsets) - 1)]
    times = np.arange(len(values), dtype=np.float64) / 2
    return ModalityFeatures.from_arrays(values, np.array(offsets), states, ids, times=times)


@given(arrays(np.float64, st.tuples(st.integers(2, 30), st.just(3)), elements=st.floats(-1e3, 1e3, width=32)))
def test_functionals_are_those_of_numpy_and_scipy(values):
    times = np.linspace(1.0, 4.0, len(values))
    found = summarize(values, times, FUNCTIONALS).reshape(len(FUNCTIONALS), 3)
    for column in range(3):
        own = values[:, column]
        wanted = [
            own.mean(),
            own.std(),
            *np.percentile(own, [10, 50, 90]),
            linregress(times, own).slope,
            own.max() - own.min(),
        ]
        np.testing.assert_allclose(found[:, column], wanted, rtol=1e-9, atol=1e-8)


@given(st.integers(1, 20), st.floats(-100, 100))
def test_a_shift_in_time_changes_nothing(rows, shift):
    values = np.random.default_rng(rows).normal(size=(rows, 4))
    times = np.arange(rows) * 0.04
    np.testing.assert_allclose(
        summarize(values, times, FUNCTIONALS), summarize(values, times + shift, FUNCTIONALS), atol=1e-8
    )


def test_one_row_has_neither_spread_nor_slope():
    found = summarize(np.array([[3.0]]), np.array([0.7]), FUNCTIONALS)
    assert found.tolist() == [3.0, 0.0, 3.0, 3.0, 3.0, 0.0, 0.0]


def test_masked_rows_are_left_out():
    garbage = modality([[1.0], [1e6], [3.0]], [0, 3], [State.VALID, State.NO_FACE, State.VALID])
    found = clip_functionals(FeatureSet({"visual": garbage}), ["clip0"], ["mean", "slope", "range"])
    assert found.tolist() == [[2.0, 2.0, 2.0]]


def test_a_clip_without_a_valid_row_is_missing_and_so_is_an_unknown_one():
    features = FeatureSet(
        {
            "visual": modality([[1.0], [2.0]], [0, 1, 2], [State.NO_FACE, State.VALID]),
            "audio": modality([[5.0], [6.0]], [0, 1, 2]),
        }
    )
    found = clip_functionals(features, ["clip0", "clip1", "clip9"], ["mean"])
    np.testing.assert_array_equal(found, [[np.nan, 5.0], [2.0, 6.0], [np.nan, np.nan]])


def test_what_is_not_a_number_is_refused_by_clip_and_modality():
    features = FeatureSet({"audio": modality([[1.0], [np.nan]], [0, 1, 2])})
    with pytest.raises(DataError, match=r"clip 'clip1': its audio features hold a value that is not a finite number"):
        clip_functionals(features, ["clip0", "clip1"], ["mean"])


def test_names_follow_the_values():
    features = FeatureSet({"visual": modality([[1.0, 2.0]], [0, 1]), "audio": modality([[7.0]], [0, 1])})
    recorded: dict[str, dict[str, Any]] = {"visual": {"identity": {}}, "audio": {"identity": {"columns": ["mfcc_00"]}}}
    names = functional_names(recorded, features.dimensions, ["mean", "range"])
    values = clip_functionals(features, ["clip0"], ["mean", "range"])[0]
    assert dict(zip(names, values.tolist(), strict=True)) == {
        "visual.0.mean": 1.0,
        "visual.1.mean": 2.0,
        "visual.0.range": 0.0,
        "visual.1.range": 0.0,
        "audio.mfcc_00.mean": 7.0,
        "audio.mfcc_00.range": 0.0,
    }
