"""Resamples of subjects: what a resample of them is scored at is what its clips, written out, are scored at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eri.metrics.bootstrap import percentile_interval, resample_counts
from eri.metrics.intensities import pearson, resample_pearson
from eri.metrics.recognition import recognize, resample_recalls

SUBJECTS = st.lists(st.sampled_from("abcdef"), min_size=4, max_size=30).filter(lambda drawn: len(set(drawn)) > 1)


def written_out(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.repeat(values, weights.astype(int), axis=0)


@settings(deadline=None)
@given(SUBJECTS, st.integers(0, 2**32 - 1))
def test_a_resample_has_as_many_subjects_as_there_are_each_whole(subjects, seed):
    weights = next(resample_counts(len(subjects), resamples=7, seed=seed, subjects=subjects))
    assert weights.shape == (7, len(subjects))
    named = np.array(subjects)
    for row in weights:
        counts = [set(row[named == subject]) for subject in set(subjects)]
        assert all(len(found) == 1 for found in counts)
        assert sum(found.pop() for found in counts) == len(set(subjects))


@settings(deadline=None)
@given(SUBJECTS, st.integers(0, 2**32 - 1), st.floats(-1e3, 1e3))
def test_pearson_is_that_of_the_clips_written_out(subjects, seed, shift):
    generator = np.random.default_rng(seed)
    values, truth = generator.random((2, len(subjects), 3))
    drawn = resample_pearson(values + shift, truth, resamples=5, seed=seed, subjects=subjects)
    for column, row in enumerate(next(resample_counts(len(subjects), resamples=5, seed=seed, subjects=subjects))):
        expected = pearson(written_out(values, row), written_out(truth, row))
        np.testing.assert_allclose(drawn[:, column], expected, atol=1e-6)


def test_a_resample_in_which_one_side_is_constant_has_no_pearson():
    subjects, labels = ["a", "a", "b", "b"], [[0.0], [0.0], [0.3], [0.3]]
    drawn = resample_pearson([[0.1], [0.2], [0.3], [0.5]], labels, resamples=50, subjects=subjects)[0]
    both = next(resample_counts(4, resamples=50, seed=0, subjects=subjects))[:, 0] == 1
    assert both.any()
    assert (np.isfinite(drawn) == both).all()


@pytest.mark.slow
@settings(deadline=None)
@given(SUBJECTS, st.integers(0, 2**32 - 1))
def test_recalls_are_those_of_the_clips_written_out(subjects, seed):
    generator = np.random.default_rng(seed)
    values, truth = generator.random((len(subjects), 3)), np.eye(3)[generator.integers(3, size=len(subjects))]
    war, recalls = resample_recalls(values, truth, resamples=5, seed=seed, subjects=subjects)
    for column, row in enumerate(next(resample_counts(len(subjects), resamples=5, seed=seed, subjects=subjects))):
        found = recognize(written_out(values, row), written_out(truth, row), ["x", "y", "z"], resamples=0)
        assert war[column] == pytest.approx(found.war)
        expected = [np.nan if one.recall is None else one.recall for one in found.classes.values()]
        np.testing.assert_allclose(recalls[:, column], expected)


def test_subjects_of_one_clip_each_are_clips():
    generator = np.random.default_rng(0)
    truth = generator.random((200, 1))
    values = truth + generator.normal(scale=0.3, size=truth.shape)
    apart = [f"{number}" for number in range(200)]
    one, other = (
        percentile_interval(resample_pearson(values, truth, resamples=4000, subjects=subjects)[0])
        for subjects in (None, apart)
    )
    assert one is not None
    assert other is not None
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.02)


def test_one_subject_is_refused():
    with pytest.raises(ValueError, match="two of them at least"):
        resample_pearson([[0.1], [0.2]], [[0.3], [0.5]], subjects=["a", "a"])


@pytest.mark.parametrize("subjects", [None, [f"{number % 70}" for number in range(500)]], ids=["clips", "subjects"])
def test_a_resample_does_not_depend_on_how_many_are_asked_for(subjects):
    # 4100 resamples of 500 clips do not fit one block.
    few = next(resample_counts(500, resamples=10, seed=3, subjects=subjects))
    many = np.concatenate(list(resample_counts(500, resamples=4100, seed=3, subjects=subjects)))
    fewer = np.concatenate(list(resample_counts(500, resamples=4050, seed=3, subjects=subjects)))
    assert many.shape == (4100, 500)
    np.testing.assert_array_equal(many[:10], few)
    np.testing.assert_array_equal(many[:4050], fewer)
