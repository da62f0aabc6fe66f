"""Ensembles: the reported score never gains from what was fitted on the scored clips, and folders can be submitted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from eri.config import parse_config
from eri.data.clips import Split
from eri.evaluation.comparison import compare
from eri.evaluation.cross_validation import CrossValidation, cv
from eri.evaluation.ensembling import Method, ensemble, nested_predictions
from eri.evaluation.evaluate import evaluate, predict
from eri.evaluation.folds import FoldPlan
from eri.metrics.intensities import pearson
from eri.submission import validate_submission, write_submission
from eri.training import train
from eri.utils.errors import ConfigError, RunError
from tests.evaluation.conftest import CPU, PLAN, known, make_grouped
from tests.factories.features import TASK, DataSet, Recipe

METHODS: tuple[Method, ...] = get_args(Method)
FITTED: tuple[Method, ...] = ("weighted", "ridge", "lightgbm")
LABELS = list(TASK.labels)


@pytest.fixture(scope="module")
def other(data: DataSet, runs: Path) -> CrossValidation:
    """A second cross-validation in the same folds."""
    return cv(data.configured(epochs=3), data.table, data.features, runs, CPU, plan=PLAN, seeds=(5,), name="other")


@pytest.fixture(scope="module")
def pair(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two plain runs."""
    folder = tmp_path_factory.mktemp("pair")
    return [train(data.configured(epochs=4, seed=seed), data.table, data.features, folder, CPU) for seed in (1, 2)]


@pytest.fixture(scope="module")
def leak(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataSet, DataSet]:
    """The same clips with features that say something, and with so much noise that a head can only memorise it."""
    root = tmp_path_factory.mktemp("leak")
    sizes: dict[Split, int] = {"train": 60, "val": 60, "test": 6}
    honest = make_grouped(root / "honest", Recipe(sizes=sizes, noise=2.0), subjects=12)
    blind = make_grouped(root / "blind", Recipe(sizes=sizes, noise=1e4, dimension=300, rows=2), subjects=12)
    return honest, replace(blind, table=honest.table)


@pytest.fixture(scope="module")
def members(leak: tuple[DataSet, DataSet], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two honest cross-validations and a leaking one."""
    folder = tmp_path_factory.mktemp("members")

    def validated(data: DataSet, name: str, epochs: int, seed: int) -> Path:
        config = data.configured(epochs=epochs, seed=seed)
        return cv(config, data.table, data.features, folder, CPU, plan=PLAN, name=name, bootstrap=0).path

    honest, blind = leak
    return [validated(honest, "first", 4, 1), validated(honest, "second", 4, 9), validated(blind, "leaking", 30, 1)]


class TestReport:
    @pytest.mark.parametrize("method", METHODS)
    def test_cross_validations(self, data, tmp_path, finished, other, method):
        report = ensemble(
            [finished.path, other.path], data.table, data.features, tmp_path, CPU, method=method, bootstrap=100
        )
        written = json.loads((report.path / "ensemble.json").read_text())
        assert report.path == tmp_path / f"ensemble-{method}"
        assert written["scores"]["mean"] == report.metrics.score
        assert report.members == {
            "good": pytest.approx(finished.metrics.score),
            "other": pytest.approx(other.metrics.score),
        }
        assert known(report.optimism) == pytest.approx(known(report.fitted) - known(report.metrics.score))
        assert known(report.metrics.score) > 0.4
        kept = pd.read_parquet(report.path / "predictions.parquet").set_index("clip_id")
        truth = data.table.label_matrix(list(kept.index))
        assert pearson(kept[LABELS].to_numpy(), truth).mean() == pytest.approx(known(report.metrics.score))

    def test_a_mean_has_no_optimism_and_trees_have_much(self, data, tmp_path, finished, other):
        reports = {
            method: ensemble([finished.path, other.path], data.table, data.features, tmp_path, CPU, method=method)
            for method in ("mean", "lightgbm")
        }
        assert reports["mean"].optimism == 0
        assert known(reports["lightgbm"].optimism) > 0.1

    def test_runs_say_what_was_chosen_on_the_clips(self, data, tmp_path, pair):
        report = ensemble(pair, data.table, data.features, tmp_path, CPU, method="weighted")
        assert report.metrics.clips == 24
        assert len(report.notes) == 2
        assert sum(known(report.weights).values()) == pytest.approx(1)

    def test_can_be_compared(self, data, tmp_path, finished, other):
        report = ensemble([finished.path, other.path], data.table, data.features, tmp_path, CPU)
        result = compare(report.path, finished.path, data.table, data.features)
        assert result.mean.first == pytest.approx(report.metrics.score)


def test_heads_and_trees_go_together(data, tmp_path, finished):
    values = data.config.model_dump(mode="json")
    values.update(model={"name": "lightgbm", "rounds": 20, "leaf_clips": 3}, training={"seed": 3})
    trees = cv(parse_config(values), data.table, data.features, tmp_path, CPU, plan=PLAN, name="trees")
    report = ensemble([finished.path, trees.path], data.table, data.features, tmp_path, CPU, bootstrap=0)
    assert known(report.members["trees"]) > 0.4
    assert len(predict(report.path, data.table, data.features, "test", CPU)) == 6


class TestLeak:
    """A base model that gives label + noise on the rows it was fitted on, and nothing of the label elsewhere."""

    @pytest.mark.slow
    def test_it_leaks(self, leak, members, tmp_path):
        _, blind = leak
        run = train(blind.configured(epochs=30, patience=30), blind.table, blind.features, tmp_path, CPU)
        fitted = evaluate(run, blind.table, blind.features, split="train", runtime=CPU, bootstrap=0)
        fresh = evaluate(run, blind.table, blind.features, split="val", runtime=CPU, bootstrap=0)
        assert fitted.metrics is not None
        assert fresh.metrics is not None
        assert known(fitted.metrics.score) > 0.7
        assert known(fresh.metrics.score) < 0.2

    @pytest.mark.parametrize("method", FITTED)
    def test_it_does_not_raise_the_reported_score(self, leak, members, tmp_path, method):
        honest, _ = leak
        reports = [
            ensemble(chosen, honest.table, honest.features, tmp_path, CPU, method=method, name=name, bootstrap=0)
            for chosen, name in ((members[:2], "without"), (members, "with"))
        ]
        without, leaking = (known(report.metrics.score) for report in reports)
        assert leaking <= without + 0.02
        assert known(reports[1].optimism) >= -0.01

    def test_rows_that_members_were_fitted_on_are_refused(self, data, tmp_path, pair):
        with pytest.raises(ConfigError, match="fitted on split 'train'"):
            ensemble(pair, data.table, data.features, tmp_path, CPU, split="train")

    @pytest.mark.parametrize("method", FITTED)
    def test_no_clip_is_predicted_by_what_was_fitted_on_it(self, method):
        generator = np.random.default_rng(0)
        stacked, truth = generator.random((4, 60, 2)), generator.random((60, 2))
        folds = [str(index % 3) for index in range(60)]
        before = nested_predictions(method, stacked, truth, folds)
        changed = truth.copy()
        changed[::3] = generator.random((20, 2))
        after = nested_predictions(method, stacked, changed, folds)
        np.testing.assert_array_equal(after[::3], before[::3])
        assert (after[1::3] != before[1::3]).any()


class TestSubmission:
    @pytest.mark.parametrize("method", METHODS)
    def test_of_runs(self, data, tmp_path, pair, method):
        report = ensemble(pair, data.table, data.features, tmp_path, CPU, method=method, bootstrap=0)
        predictions = predict(report.path, data.table, data.features, "test", CPU)
        file = write_submission(predictions, data.table, tmp_path / "out", run=report.path)
        assert not [found for found in validate_submission(file, data.table) if found.severity == "error"]
        manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
        assert set(manifest["checksums"]) == {"ensemble.json"}
        if method == "mean":
            single = [predict(run, data.table, data.features, "test", CPU)[LABELS] for run in pair]
            np.testing.assert_allclose(predictions[LABELS], (single[0] + single[1]) / 2, atol=1e-12)

    def test_of_cross_validations(self, data, tmp_path, finished, other):
        report = ensemble([finished.path, other.path], data.table, data.features, tmp_path, CPU, bootstrap=0)
        predictions = predict(report.path, data.table, data.features, "test", CPU)
        assert list(predictions.index) == [clip.id for clip in data.table.split("test")]
        one = predict(finished.path, data.table, data.features, "test", CPU)
        models = sorted((finished.path / "models").glob("*/config.yaml"))
        single = [predict(path.parent, data.table, data.features, "test", CPU)[LABELS] for path in models]
        assert len(single) == 6
        np.testing.assert_allclose(one[LABELS], np.mean(single, axis=0), atol=1e-12)

    def test_a_member_that_was_made_anew(self, data, tmp_path):
        paths = [
            train(data.configured(epochs=1, seed=seed), data.table, data.features, tmp_path, CPU) for seed in (1, 2)
        ]
        report = ensemble(paths, data.table, data.features, tmp_path, CPU, bootstrap=0)
        train(data.configured(epochs=2, seed=1), data.table, data.features, tmp_path, CPU, overwrite=True)
        with pytest.raises(RunError, match="tiny-seed1: was made again since"):
            predict(report.path, data.table, data.features, "test", CPU)


class TestRefusals:
    def test_other_labels(self, data, tmp_path, pair):
        task = replace(TASK, labels=("Joy", *LABELS[1:]))
        table = replace(data.table, task=task)
        run = train(data.configured(epochs=1), table, data.features, tmp_path, CPU, name="joy")
        with pytest.raises(RunError, match=f"{run}: predicts Joy, .*, but the labels of synthetic are Adoration"):
            ensemble([pair[0], run], data.table, data.features, tmp_path, CPU)

    def test_other_splits(self, data, tmp_path, pair):
        clips = tuple(replace(clip, split="train") if clip.id == "00050" else clip for clip in data.table)
        moved = replace(data.table, clips=clips)
        run = train(data.configured(epochs=1), moved, data.features, tmp_path, CPU, name="moved")
        with pytest.raises(RunError, match=f"{run}: was made on other data.*splits"):
            ensemble([pair[0], run], data.table, data.features, tmp_path, CPU)

    def test_other_folds(self, data, tmp_path, finished):
        config = data.configured(epochs=1)
        second = cv(config, data.table, data.features, tmp_path, CPU, plan=FoldPlan(folds=3, seed=7), bootstrap=0)
        with pytest.raises(RunError, match=r"have different folds: clip '\d+' is in fold"):
            ensemble([finished.path, second.path], data.table, data.features, tmp_path, CPU)
        assert not (tmp_path / "ensemble-weighted").exists()

    def test_runs_with_cross_validations(self, data, tmp_path, finished, pair):
        with pytest.raises(RunError, match="are scored on other clips"):
            ensemble([finished.path, pair[0]], data.table, data.features, tmp_path, CPU)

    def test_members_that_cannot_be(self, data, tmp_path, finished, other):
        made = ensemble([finished.path, other.path], data.table, data.features, tmp_path, CPU, bootstrap=0)
        for members, message in (
            ([finished.path], "two members or more"),
            ([finished.path, finished.path], "is repeated"),
            ([finished.path, made.path], "is an ensemble"),
        ):
            with pytest.raises(ConfigError, match=message):
                ensemble(members, data.table, data.features, tmp_path, CPU, name="x")
        with pytest.raises(RunError, match="exists already"):
            ensemble([finished.path, other.path], data.table, data.features, tmp_path, CPU)
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter.tex").touch()
        with pytest.raises(RunError, match="is no ensemble"):
            ensemble([finished.path, other.path], data.table, data.features, tmp_path, CPU, name="thesis")
