"""The metrics against scipy, on friendly and on hostile numbers."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from eri.metrics.intensities import Floats, pearson, score

NAMES = ("Adoration", "Amusement", "Fear")


def scipy_pearson(predictions: Floats, labels: Floats) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = zip(predictions.T, labels.T, strict=True)
        return np.array([float(stats.pearsonr(x, y).statistic) for x, y in pairs], dtype=np.float64)


def sample(clips: int = 60, labels: int = 3, seed: int = 0, signal: float = 0.5) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    truth = generator.random((clips, labels))
    return signal * truth + (1 - signal) * generator.random((clips, labels)), truth


@st.composite
def columns(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Two columns whose offset and spread range from friendly to nearly constant."""
    clips = draw(st.integers(2, 40))
    values = []
    for _ in range(2):
        raw = draw(arrays(np.float64, clips, elements=st.floats(-1, 1, allow_subnormal=False)))
        spread = 10.0 ** draw(st.integers(-9, 6))
        offset = draw(st.sampled_from([0.0, 1.0, -3.5, 1e3, 1e6, -1e8]))
        values.append((raw * spread + offset)[:, np.newaxis])
    return values[0], values[1]


class TestPearson:
    @settings(max_examples=400, deadline=None)
    @given(columns())
    def test_equals_scipy(self, pair):
        np.testing.assert_allclose(pearson(*pair), scipy_pearson(*pair), rtol=0.0, atol=1e-12)

    @pytest.mark.parametrize("clips", [2, 3, 7, 300, 4657])
    @pytest.mark.parametrize("offset", [0.0, 1e6, 1e9])
    def test_equals_scipy_on_whole_splits(self, clips, offset):
        predictions, labels = sample(clips, 7, seed=clips)
        predictions = predictions + offset
        np.testing.assert_allclose(
            pearson(predictions, labels), scipy_pearson(predictions, labels), rtol=0.0, atol=1e-12
        )

    def test_large_squares_do_not_overflow(self):
        x = np.array([[-5e210], [5e210], [3e200], [-3e200]])
        assert pearson(x, x)[0] == pytest.approx(1.0, abs=1e-12)

    def test_constant_is_undefined(self):
        predictions, labels = sample()
        predictions[:, 1] = 0.1
        labels[:, 2] = 1.0
        assert np.isnan(pearson(predictions, labels)).tolist() == [False, True, True]

    def test_unaffected_by_positive_affine_change(self):
        predictions, labels = sample()
        np.testing.assert_allclose(pearson(3 * predictions + 7, labels), pearson(predictions, labels), atol=1e-12)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_refuses_what_is_not_finite(self, bad):
        predictions, labels = sample()
        predictions[4, 0] = bad
        with pytest.raises(ValueError, match=r"predictions: a value is not finite \(row 4\)"):
            pearson(predictions, labels)

    def test_refuses_other_shapes(self):
        with pytest.raises(ValueError, match=r"predictions are \(60, 3\), labels are \(59, 3\)"):
            pearson(sample()[0], sample()[1][:59])


class TestScore:
    def test_mean_is_the_plain_mean(self):
        predictions, labels = sample()
        result = score(predictions, labels, NAMES)
        assert result.mean == pytest.approx(scipy_pearson(predictions, labels).mean(), abs=1e-12)
        assert result.mean_defined == result.mean
        assert result.constant == ()
        assert result.clips == 60
        assert result.mse == pytest.approx(np.mean((predictions - labels) ** 2))

    def test_constant_column_is_named(self):
        predictions, labels = sample()
        predictions[:, 1] = 0.25
        labels[:, 2] = 0.5
        result = score(predictions, labels, NAMES, resamples=50)
        assert result.mean is None
        assert result.mean_defined == result.labels["Adoration"].pearson
        assert result.constant == ("Amusement", "Fear")
        assert result.labels["Amusement"].reason == "constant prediction"
        assert result.labels["Fear"].reason == "constant label"
        assert result.interval is not None

    def test_everything_constant(self):
        result = score(np.zeros((4, 3)), np.zeros((4, 3)), NAMES, resamples=20)
        assert (result.mean, result.mean_defined, result.interval, result.ccc) == (None, None, None, None)
        assert result.labels["Fear"].reason == "constant prediction and label"

    def test_one_clip(self):
        result = score([[0.1, 0.2, 0.3]], [[0.1, 0.2, 0.3]], NAMES, resamples=20)
        assert result.constant == NAMES
        assert result.labels["Fear"].reason == "fewer than two clips"

    def test_ccc_by_hand(self):
        x, y = np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 4.0])
        expected = 2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
        assert score(x[:, None], y[:, None], ["Fear"], resamples=0).ccc == pytest.approx(expected)

    def test_json_has_no_nan(self):
        predictions, labels = sample()
        predictions[:, 0] = 1.0
        text = json.dumps(score(predictions, labels, NAMES, resamples=20).to_json(), allow_nan=False)
        assert json.loads(text)["labels"]["Adoration"]["pearson"] is None
        assert json.loads(text)["constant"] == ["Adoration"]

    def test_refuses_no_clip_and_wrong_names(self):
        with pytest.raises(ValueError, match="no clip to score"):
            score(np.empty((0, 3)), np.empty((0, 3)), NAMES)
        with pytest.raises(ValueError, match="2 names for 3 columns"):
            score(*sample(), names=NAMES[:2])
        with pytest.raises(ValueError, match="cannot be negative"):
            score(*sample(), names=NAMES, resamples=-1)


class TestBootstrap:
    def test_resamples_clips_jointly(self):
        predictions, labels = sample()
        twice = score(np.repeat(predictions[:, :1], 2, axis=1), np.repeat(labels[:, :1], 2, axis=1), ["a", "b"])
        assert twice.labels["a"].interval == twice.labels["b"].interval == twice.interval

    def test_same_as_resampling_by_hand(self):
        predictions, labels = sample(40)
        generator = np.random.default_rng(5)
        means = [
            scipy_pearson(predictions[chosen], labels[chosen]).mean()
            for chosen in generator.integers(40, size=(200, 40))
        ]
        interval = score(predictions, labels, NAMES, resamples=200, seed=5).interval
        assert interval is not None
        assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=1e-12)

    def test_seed_decides(self):
        first, again, other = (score(*sample(), names=NAMES, seed=seed).interval for seed in (1, 1, 2))
        assert first == again != other

    def test_covers_the_truth_about_as_often_as_it_says(self):
        rho, hits = 0.5, 0
        for seed in range(100):
            generator = np.random.default_rng(seed)
            pair = generator.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=150)
            interval = score(pair[:, :1], pair[:, 1:], ["Fear"], resamples=300, seed=seed).interval
            assert interval is not None
            hits += interval.low <= rho <= interval.high
        assert 86 <= hits <= 100

    def test_degenerate_draws_are_counted_and_left_out(self):
        predictions, labels = sample(30)
        labels[:, 0] = 0.0
        labels[:3, 0] = 1.0  # a resample misses all three in about one draw of 23
        result = score(predictions, labels, NAMES, resamples=1000)
        assert 10 < result.bootstrap.degenerate < 120
        assert result.interval is not None
        assert result.labels["Adoration"].interval is not None

    def test_no_interval_when_most_draws_are_degenerate(self):
        result = score([[0.1], [0.9]], [[0.2], [0.7]], ["Fear"], resamples=100)
        assert result.mean == 1.0
        wide = score([[0.0]] * 400 + [[1.0]], [[float(i)] for i in range(401)], ["Fear"], resamples=200)
        assert wide.labels["Fear"].interval is not None  # about 63 % of draws hold the odd clip
        assert wide.bootstrap.degenerate > 40
        assert result.bootstrap.degenerate > 25
