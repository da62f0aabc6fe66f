"""Resamples of subjects: what a resample of them is scored at is what its clips, written out, are scored at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eri.metrics.bootstrap import resampled_subjects
from eri.metrics.intensities import pearson, percentile_interval, resampled_pearson
from eri.metrics.recognition import recognize, resampled_recalls

SUBJECTS = st.lists(st.sampled_from("abcdef"), min_size=4, max_size=30).filter(lambda drawn: len(set(drawn)) > 1)


def written_out(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.repeat(values, weights.astype(int), axis=0)


@settings(deadline=None)
@given(SUBJECTS, st.integers(0, 2**32 - 1))
def test_a_resample_has_as_many_subjects_as_there_are_each_whole(subjects, seed):
    weights = next(resampled_subjects(subjects, draws=7, seed=seed))
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
    drawn = resampled_pearson(values + shift, truth, draws=5, seed=seed, subjects=subjects)
    for column, row in enumerate(next(resampled_subjects(subjects, draws=5, seed=seed))):
        expected = pearson(written_out(values, row), written_out(truth, row))
        np.testing.assert_allclose(drawn[:, column], expected, atol=1e-6)


def test_a_resample_in_which_one_side_is_constant_has_no_pearson():
    subjects, labels = ["a", "a", "b", "b"], [[0.0], [0.0], [0.3], [0.3]]
    drawn = resampled_pearson([[0.1], [0.2], [0.3], [0.5]], labels, draws=50, subjects=subjects)[0]
    both = next(resampled_subjects(subjects, draws=50, seed=0))[:, 0] == 1
    assert both.any()
    assert (np.isfinite(drawn) == both).all()


@settings(deadline=None)
@given(SUBJECTS, st.integers(0, 2**32 - 1))
def test_recalls_are_those_of_the_clips_written_out(subjects, seed):
    generator = np.random.default_rng(seed)
    values, truth = generator.random((len(subjects), 3)), np.eye(3)[generator.integers(3, size=len(subjects))]
    drawn = resampled_recalls(values, truth, draws=5, seed=seed, subjects=subjects)
    for column, row in enumerate(next(resampled_subjects(subjects, draws=5, seed=seed))):
        found = recognize(written_out(values, row), written_out(truth, row), ["x", "y", "z"], draws=0)
        assert drawn.war[column] == pytest.approx(found.war)
        expected = [np.nan if one.recall is None else one.recall for one in found.classes.values()]
        np.testing.assert_allclose(drawn.recalls[:, column], expected)


def test_subjects_of_one_clip_each_are_clips():
    generator = np.random.default_rng(0)
    truth = generator.random((200, 1))
    values = truth + generator.normal(scale=0.3, size=truth.shape)
    apart = [f"{number}" for number in range(200)]
    one, other = (
        percentile_interval(resampled_pearson(values, truth, draws=4000, subjects=subjects)[0])
        for subjects in (None, apart)
    )
    assert one is not None
    assert other is not None
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.02)


def test_one_subject_is_refused():
    with pytest.raises(ValueError, match="two of them at least"):
        resampled_pearson([[0.1], [0.2]], [[0.3], [0.5]], subjects=["a", "a"])
