"""Cross-validations, ensembles, comparisons and searches of classes: by WAR, UAR and the recall of each class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eri.evaluation.comparison import compare, compare_predictions
from eri.evaluation.cross_validation import CrossValidation, cv
from eri.evaluation.ensembling import ensemble, fit_combination
from eri.evaluation.evaluate import predict
from eri.evaluation.jobs import ModelTrained, TrialEnded
from eri.evaluation.search import search
from eri.evaluation.search_space import Parameter
from eri.metrics.recognition import Recognition, recognize
from eri.submission import validate_submission, write_submission
from eri.training import TrainingEvent, train
from eri.utils.errors import ConfigError, SubmissionError
from tests.evaluation.conftest import CPU, PLAN, Events, known
from tests.factories.features import DataSet, Recipe, make_data_set

CLASSES = ("calm", "angry", "sad")
NAMES = list(CLASSES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    recipe = Recipe(classes=CLASSES, sizes={"train": 48, "val": 24, "test": 6}, noise=2.0, subjects=9)
    return make_data_set(tmp_path_factory.mktemp("data"), recipe)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def events() -> Events:
    return Events()


@pytest.fixture(scope="module")
def good(data: DataSet, runs: Path, events: Events) -> CrossValidation:
    config = data.configured(epochs=6)
    return cv(
        config, data.table, data.features, runs, CPU, plan=PLAN, seeds=(1, 2), name="good", on_event=events.append
    )


@pytest.fixture(scope="module")
def weak(data: DataSet, runs: Path) -> CrossValidation:
    config = data.configured(epochs=1, learning_rate=1e-6)
    return cv(config, data.table, data.features, runs, CPU, plan=PLAN, name="weak")


def noisy(truth: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return decisions that are random for a share of the clips."""
    generator = np.random.default_rng(seed)
    chance = np.eye(truth.shape[1])[generator.integers(truth.shape[1], size=len(truth))]
    return np.where(generator.random(len(truth))[:, None] < share, chance, truth)


class TestCrossValidation:
    @pytest.mark.slow
    def test_every_clip_is_scored_out_of_fold_by_war(self, data, good, events):
        frame = pd.read_parquet(good.path / "out_of_fold.parquet").groupby("clip_id")[NAMES].mean()
        truth = data.table.label_matrix(list(frame.index))
        expected = recognize(frame.to_numpy(), truth, CLASSES)
        assert good.metrics == expected
        assert expected.clips == 72
        assert expected.war > 0.75
        written = json.loads((good.path / "cv.json").read_text())
        assert written["scores"]["confusion"] == [list(row) for row in expected.confusion]
        assert written["metric"].startswith("WAR")
        models = events.of(ModelTrained)
        assert [(event.done, event.total) for event in models] == [(number, 6) for number in range(1, 7)]
        assert {event.metric for event in models} == {good.metric} == {"WAR"}
        assert np.mean([known(event.score) for event in models]) > 0.6
        epochs = [event for event in events.of(TrainingEvent) if event.kind == "epoch"]
        assert len(epochs) == 6 * 6

    def test_the_mean_over_folds_is_reported(self, good):
        figures = [known(fold.metrics.score) for fold in good.folds]
        assert good.over_folds == pytest.approx((np.mean(figures), np.std(figures, ddof=1)))
        written = json.loads((good.path / "cv.json").read_text())
        assert written["over_folds"]["mean"] == pytest.approx(np.mean(figures))


class TestComparison:
    TRUTH = np.eye(3)[np.random.default_rng(0).integers(3, size=300)]

    def test_finds_the_better_system(self):
        result = compare_predictions(
            noisy(self.TRUTH, 0.2, 1), noisy(self.TRUTH, 0.6, 2), self.TRUTH, NAMES, kind="classification"
        )
        assert result.averaged_as == "UAR"
        for found in (result.mean, known(result.overall), *result.labels.values()):
            interval = known(found.interval)
            assert 0 < interval.low < known(found.difference) < interval.high
        assert known(result.overall).p == pytest.approx(2 / 2001)
        assert known(result.overall).corrected == pytest.approx(10 / 2001)  # three recalls, UAR and WAR

    def test_figures_are_those_of_each(self):
        values = noisy(self.TRUTH, 0.3, 1), noisy(self.TRUTH, 0.5, 2)
        result = compare_predictions(*values, self.TRUTH, NAMES, kind="classification", resamples=200)
        own = [recognize(one, self.TRUTH, CLASSES, resamples=0) for one in values]
        assert known(result.overall).first == own[0].war
        assert known(result.overall).second == own[1].war
        assert (result.mean.first, result.mean.second) == pytest.approx((own[0].uar, own[1].uar))
        assert result.labels["sad"].first == own[0].classes["sad"].recall

    def test_level_is_held_where_nothing_differs(self):
        found = 0
        for trial in range(150):
            truth = np.eye(2)[np.random.default_rng(trial).integers(2, size=60)]
            pair = noisy(truth, 0.5, 1000 + trial), noisy(truth, 0.5, 2000 + trial)
            result = compare_predictions(*pair, truth, ["a", "b"], kind="classification", resamples=200)
            found += known(known(result.overall).p) < 0.05
        assert 1 <= found <= 17  # expected 7.5, deviation 2.7

    def test_a_class_without_clips_is_left_out_by_name(self):
        truth = np.eye(4)[np.random.default_rng(0).integers(3, size=80)]
        names = [*NAMES, "fear"]
        result = compare_predictions(noisy(truth, 0.2, 1), noisy(truth, 0.4, 2), truth, names, kind="classification")
        assert result.left_out == ("fear",)
        assert result.labels["fear"].p is None
        assert result.mean.p is not None

    def test_of_folders(self, data, good, weak):
        result = compare(good.path, weak.path, data.table, data.features)
        overall = known(result.overall)
        assert (overall.first, overall.second) == (good.metrics.score, weak.metrics.score)
        assert known(overall.difference) > 0.2
        assert set(result.labels) == set(CLASSES)


class TestEnsemble:
    def test_of_cross_validations(self, data, tmp_path, good, weak):
        for method in ("mean", "weighted"):
            report = ensemble([good.path, weak.path], data.table, data.features, tmp_path, CPU, method=method)
            assert isinstance(report.metrics, Recognition)
            assert report.members == {"good": good.metrics.score, "weak": weak.metrics.score}
            kept = pd.read_parquet(report.path / "predictions.parquet")
            np.testing.assert_allclose(kept[NAMES].sum(axis=1), 1.0, atol=1e-6)
            if method == "weighted":
                assert known(report.weights)["good"] > 0.9
                assert report.metrics.war >= known(good.metrics.score) - 0.05

    def test_predicts_probabilities_of_another_split(self, data, tmp_path, good, weak):
        report = ensemble([good.path, weak.path], data.table, data.features, tmp_path, CPU, bootstrap=0)
        frame = predict(report.path, data.table, data.features, "test", CPU)
        assert len(frame) == 6
        np.testing.assert_allclose(frame[NAMES].sum(axis=1), 1.0, atol=1e-6)

    @pytest.mark.parametrize("method", ["ridge", "lightgbm"])
    def test_refuses_what_gives_no_probabilities(self, data, tmp_path, good, weak, method):
        with pytest.raises(ConfigError, match=f"{method} gives no probabilities.*\n.*--method mean or weighted"):
            ensemble([good.path, weak.path], data.table, data.features, tmp_path, CPU, method=method)
        assert not list(tmp_path.iterdir())

    def test_weights_have_the_least_cross_entropy(self):
        truth = TestComparison.TRUTH
        generator = np.random.default_rng(3)
        members = []
        for sureness in (0.5, 2.0, 1.0):
            powers = np.exp(sureness * truth + generator.normal(size=truth.shape))
            members.append(powers / powers.sum(axis=1, keepdims=True))
        stacked = np.stack(members)
        found = fit_combination("weighted", stacked, truth, "classification").combine(stacked)

        def loss(mixed: np.ndarray) -> float:
            return -float(np.log((mixed * truth).sum(axis=1)).mean())

        tried = generator.dirichlet(np.ones(3), size=300)
        assert loss(found) <= min(loss(np.tensordot(own, stacked, 1)) for own in tried) + 1e-6


@pytest.mark.slow
def test_search_is_for_the_best_war(data, tmp_path):
    events = Events()
    space = {"training.learning_rate": Parameter(choices=(1e-7, 1e-2))}
    report = search(
        data.configured(epochs=4), space, data.table, data.features, tmp_path, CPU, trials=4, on_event=events.append
    )
    assert report.metric == "WAR"
    assert dict(report.values) == {"training.learning_rate": 1e-2}
    assert report.value == max(known(event.value) for event in events.of(TrialEnded))


def test_there_is_no_submission(data, tmp_path):
    run = train(data.configured(epochs=1), data.table, data.features, tmp_path, CPU)
    predictions = predict(run, data.table, data.features, "test", CPU)
    with pytest.raises(SubmissionError, match=r"no challenge takes the class probabilities.*\n.*eri evaluate"):
        write_submission(predictions, data.table, tmp_path / "out", run=run)
    with pytest.raises(SubmissionError, match="no challenge takes"):
        validate_submission(tmp_path / "any.csv", data.table)
    assert not (tmp_path / "out").exists()
