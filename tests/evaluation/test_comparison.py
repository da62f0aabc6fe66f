"""Comparisons: they find what is there, hold their level where nothing is, and refuse what cannot be compared."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from eri.evaluation.comparison import compare, compare_predictions, holm
from eri.evaluation.cross_validation import cv
from eri.evaluation.folds import FoldPlan
from eri.training import train
from eri.utils.errors import ConfigError, DataError, RunError
from tests.evaluation.conftest import CPU, PLAN, known
from tests.factories.features import Recipe, make_data_set

NAMES = ["Joy", "Fear", "Awe"]


def noisy(truth: np.ndarray, noise: float, seed: int) -> np.ndarray:
    return truth + noise * np.random.default_rng(seed).normal(size=truth.shape)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.random.default_rng(0).random((300, 3))


class TestPredictions:
    def test_a_better_system_is_found(self, truth):
        result = compare_predictions(noisy(truth, 0.2, 1), noisy(truth, 0.5, 2), truth, NAMES)
        interval = known(result.mean.interval)
        assert 0 < interval.low < known(result.mean.difference) < interval.high
        assert result.mean.p == pytest.approx(2 / 2001)
        assert result.mean.corrected == pytest.approx(8 / 2001)

    def test_signs_turn_with_the_order(self, truth):
        a, b = noisy(truth, 0.3, 1), noisy(truth, 0.35, 2)
        one, other = compare_predictions(a, b, truth, NAMES), compare_predictions(b, a, truth, NAMES)
        assert one.mean.difference == -known(other.mean.difference)
        assert one.mean.p == other.mean.p
        assert known(one.mean.interval).low == pytest.approx(-known(other.mean.interval).high, abs=1e-12)

    def test_the_same_predictions_do_not_differ(self, truth):
        values = noisy(truth, 0.3, 1)
        result = compare_predictions(values, values, truth, NAMES)
        assert (result.mean.difference, result.mean.p, result.mean.corrected) == (0, 1, 1)

    def test_pairing_narrows_the_interval(self, truth):
        common = noisy(truth, 0.5, 1)
        paired = compare_predictions(noisy(common, 0.05, 2), noisy(common, 0.05, 3), truth, NAMES)
        apart = compare_predictions(noisy(truth, 0.5, 4), noisy(truth, 0.5, 5), truth, NAMES)
        intervals = [known(result.mean.interval) for result in (paired, apart)]
        widths = [interval.high - interval.low for interval in intervals]
        assert widths[0] < widths[1] / 2

    def test_level_is_held_where_nothing_differs(self):
        found = 0
        for trial in range(200):
            truth = np.random.default_rng(trial).random((60, 1))
            a, b = noisy(truth, 0.5, 1000 + trial), noisy(truth, 0.5, 2000 + trial)
            found += known(compare_predictions(a, b, truth, ["Joy"], resamples=200).labels["Joy"].p) < 0.05
        assert 1 <= found <= 22  # expected 10, deviation 3

    def test_level_is_held_by_subjects_where_their_clips_are_alike(self):
        found = {"clips": 0, "subjects": 0}
        subjects = [f"{number // 10}" for number in range(300)]
        for trial in range(100):
            generator = np.random.default_rng(trial)
            truth = np.repeat(generator.random((30, 1)), 10, axis=0)
            a, b = (truth + np.repeat(generator.normal(scale=0.5, size=(30, 1)), 10, axis=0) for _ in range(2))
            for name, drawn in (("clips", None), ("subjects", subjects)):
                result = compare_predictions(a, b, truth, ["Joy"], resamples=200, subjects=drawn)
                found[name] += known(result.labels["Joy"].p) < 0.05
        assert found["clips"] > 30  # far too often
        assert found["subjects"] <= 16  # expected 5, and small samples of subjects are a little too daring

    def test_a_constant_column_is_left_out_by_name(self, truth):
        constant = noisy(truth, 0.3, 1)
        constant[:, 1] = 0.5
        result = compare_predictions(constant, noisy(truth, 0.3, 2), truth, NAMES)
        assert result.left_out == ("Fear",)
        assert result.labels["Fear"].first is None
        assert (result.labels["Fear"].p, result.labels["Fear"].corrected) == (None, None)
        assert result.mean.first == pytest.approx(np.mean([result.labels[name].first for name in ("Joy", "Awe")]))


def test_holm_is_monotone_and_bounded():
    values = [0.5, 0.01, 0.02, 0.9]
    corrected = holm(values)
    assert corrected == pytest.approx([1.0, 0.04, 0.06, 1.0])
    assert holm([]) == []


class TestFolders:
    @pytest.mark.slow
    def test_cross_validations(self, data, runs, finished):
        config = data.configured(epochs=1)
        weak = cv(config, data.table, data.features, runs, CPU, plan=PLAN, name="weak", overwrite=True)
        result = compare(finished.path, weak.path, data.table, data.features)
        assert (result.first, result.second, result.clips) == ("good", "weak", 72)
        assert result.mean.first == pytest.approx(finished.metrics.score)
        assert result.mean.second == pytest.approx(weak.metrics.score)
        assert result.notes == ()
        plain, corrected = result.over_folds
        figures = [[known(fold.metrics.score) for fold in one.folds] for one in (finished, weak)]
        assert plain.p == pytest.approx(stats.ttest_rel(figures[0], figures[1], alternative="greater").pvalue)
        assert (plain.first, plain.second) == pytest.approx(tuple(np.mean(figures, axis=1)))
        assert (plain.folds, plain.tail, corrected.tail, corrected.corrected) == (3, "greater", "two-sided", True)

    def test_other_folds_are_not_set_against_each_other(self, data, runs, finished):
        other = cv(data.configured(epochs=1), data.table, data.features, runs, CPU, plan=FoldPlan(folds=4), name="four")
        assert compare(finished.path, other.path, data.table, data.features).over_folds == ()

    def test_runs_say_what_was_chosen_on_the_clips(self, data, tmp_path):
        first, second = (
            train(data.configured(epochs=epochs), data.table, data.features, tmp_path, CPU, name=f"run{epochs}")
            for epochs in (1, 3)
        )
        result = compare(first, second, data.table, data.features, runtime=CPU)
        assert result.clips == 24
        assert result.notes == tuple(f"the epoch of run run{n} was chosen on these clips" for n in (1, 3))
        with pytest.raises(ConfigError, match="fitted on split 'train'"):
            compare(first, second, data.table, data.features, split="train")

    def test_refuses_to_draw_subjects_that_no_one_names(self, tmp_path):
        data = make_data_set(tmp_path, Recipe(subjects=0))
        run = train(data.configured(epochs=1), data.table, data.features, tmp_path / "runs", CPU)
        with pytest.raises(DataError, match="no subject for clip '"):
            compare(run, run, data.table, data.features, by="subject", runtime=CPU)

    def test_refuses_other_clips(self, data, tmp_path, finished):
        run = train(data.configured(epochs=1), data.table, data.features, tmp_path, CPU)
        with pytest.raises(RunError, match=r"are scored on other clips: 48 are in one only, the first is '00000'"):
            compare(finished.path, run, data.table, data.features, runtime=CPU)

    def test_refuses_other_data(self, data, finished):
        fewer = replace(data.table, clips=data.table.clips[1:])
        with pytest.raises(RunError, match="made on other data"):
            compare(finished.path, finished.path, fewer, data.features)

    def test_refuses_what_has_not_ended(self, data, tmp_path, finished):
        other = make_data_set(tmp_path)
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "cv.yaml").touch()
        with pytest.raises(RunError, match="has not ended"):
            compare(finished.path, tmp_path / "broken", data.table, data.features)
        with pytest.raises(RunError, match="not a run folder"):
            compare(tmp_path / "nothing", finished.path, other.table, other.features)

    def test_refuses_damaged_predictions(self, data, tmp_path, finished):
        broken = tmp_path / "broken"
        shutil.copytree(finished.path, broken)
        whole = pd.read_parquet(broken / "predictions.parquet")
        for frame, message in (
            (whole.drop(columns="clip_id"), "has no column 'clip_id'"),
            (whole.drop(columns="Disgust"), "has no column 'Disgust'"),
            (whole.assign(Disgust=np.nan), "clip '00000' has a prediction that is not a finite number"),
            (whole.iloc[1:], "the first is '00000'"),
        ):
            frame.to_parquet(broken / "predictions.parquet", index=False)
            with pytest.raises(RunError, match=message):
                compare(finished.path, broken, data.table, data.features)
        (broken / "predictions.parquet").write_bytes(b"PAR1")
        with pytest.raises(RunError, match="cannot be read"):
            compare(finished.path, broken, data.table, data.features)
