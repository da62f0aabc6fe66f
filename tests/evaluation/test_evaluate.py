"""Evaluating a run: figures, files, fallback, and that a clip's prediction depends on that clip alone."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eri.config import Published, Runtime
from eri.config.tasks import Task
from eri.data.clips import ClipTable
from eri.evaluation.evaluate import evaluate, predict
from eri.metrics.intensities import Metrics, pearson
from eri.runs.opening import TRAIN_MEAN
from eri.training import train
from eri.utils.errors import DataError, RunError, StoreError
from tests.factories.features import TASK, DataSet, Recipe, make_data_set
from tests.training.conftest import one_thread
from tests.training.test_experiment import CPU, history

__all__ = ["one_thread"]  # applies here too

LABELS = list(TASK.labels)
RECIPE = Recipe(
    modalities=("visual", "audio"),
    absent={"visual": ["00065", "00100", "00101"], "audio": ["00065", "00100", "00102"]},
    masked={"visual": ["00103"], "audio": ["00103"]},
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return make_data_set(tmp_path_factory.mktemp("data"), RECIPE)


@pytest.fixture(scope="module")
def trained(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    published = Published(source="Somebody 2023", task="three", validation=0.4, test=0.3)
    config = data.configured(epochs=6).model_copy(update={"published": published})
    return train(config, data.table, data.features, tmp_path_factory.mktemp("runs"), CPU)


@pytest.fixture
def run(trained: Path) -> Path:
    for name in ("metrics.json", "predictions.parquet"):
        (trained / name).unlink(missing_ok=True)
    return trained


def narrowed(table: ClipTable, ids: list[str]) -> ClipTable:
    return replace(table, clips=tuple(clip for clip in table if clip.id in ids))


def with_task(table: ClipTable, task: Task) -> ClipTable:
    return replace(table, task=task)


class TestFigures:
    @pytest.mark.slow
    def test_are_those_of_the_predictions(self, run, data):
        result = evaluate(run, data.table, data.features, bootstrap=200, runtime=CPU)
        assert isinstance(result.metrics, Metrics)
        ids = [clip.id for clip in data.table.split("val")]
        assert list(result.predictions.index) == ids
        expected = pearson(result.predictions[LABELS].to_numpy(), data.table.label_matrix(ids))
        assert [result.metrics.labels[name].pearson for name in LABELS] == expected.tolist()
        assert result.metrics.clips == 40
        assert result.metrics.interval is not None
        assert result.metrics.interval.low > 0.3

    def test_are_those_that_the_epoch_was_chosen_by(self, run, data):
        result = evaluate(run, data.table, data.features, bootstrap=0, runtime=CPU)
        best = max(float(row["val_pearson"]) for row in history(run))
        assert result.metrics is not None
        assert result.metrics.score == pytest.approx(best, abs=1e-5)
        assert "the epoch was chosen on this split" in result.notes[0]

    def test_a_constant_prediction_is_named(self, run, data):
        # Clips that all get the fallback have one and the same prediction.
        table = replace(data.table, clips=tuple(replace(clip, split="val") for clip in data.table.split("train")[:5]))
        everything = [clip.id for clip in table]
        masked = make_data_set(
            run.parent / "masked", replace(RECIPE, masked={"visual": everything, "audio": everything})
        )
        result = evaluate(run, table, masked.features, bootstrap=10, runtime=CPU)
        assert isinstance(result.metrics, Metrics)
        assert result.metrics.score is None
        assert result.metrics.constant == TASK.labels
        assert len(result.fallback) == 5

    def test_only_labelled_clips_are_scored(self, run, data):
        clips = tuple(replace(clip, labels=None) if clip.id == "00070" else clip for clip in data.table)
        result = evaluate(run, replace(data.table, clips=clips), data.features, bootstrap=0, runtime=CPU)
        assert result.metrics is not None
        assert result.metrics.clips == 39
        assert len(result.predictions) == 40
        assert any("1 clip(s) of the split have no labels" in note for note in result.notes)


class TestFiles:
    def test_metrics_hold_figures_intervals_and_what_was_published(self, run, data):
        evaluate(run, data.table, data.features, bootstrap=100, seed=7, runtime=CPU)
        text = (run / "metrics.json").read_text()
        assert "NaN" not in text
        values = json.loads(text)["splits"]["val"]
        assert values["scores"]["bootstrap"] == {"draws": 100, "seed": 7, "level": 0.95, "degenerate": 0}
        assert (
            values["scores"]["labels"]["Disgust"]["interval"]["low"] < values["scores"]["labels"]["Disgust"]["pearson"]
        )
        assert values["published"] == {"mean": 0.4, "source": "Somebody 2023"}
        assert values["fallback"] == {"rule": "train-mean", "clips": ["00065"]}
        assert values["data"]["fingerprint"] == data.table.fingerprint
        assert values["epoch"] >= 1

    def test_splits_are_merged_by_clip_id(self, run, data):
        evaluate(run, data.table, data.features, split="test", runtime=CPU)
        evaluate(run, data.table, data.features, split="val", bootstrap=50, runtime=CPU)
        evaluate(run, data.table, data.features, split="val", bootstrap=50, runtime=CPU)
        frame = pd.read_parquet(run / "predictions.parquet")
        assert list(frame.columns) == ["clip_id", "split", *LABELS, "rule"]
        wanted = [clip.id for clip in data.table if clip.split in ("val", "test")]
        assert frame["clip_id"].tolist() == wanted
        assert frame["split"].value_counts().to_dict() == {"val": 40, "test": 10}
        assert set(json.loads((run / "metrics.json").read_text())["splits"]) == {"val", "test"}

    def test_a_figure_published_for_another_task_is_not_shown(self, data, tmp_path):
        published = Published(source="Somebody 2023", task="eri", validation=0.4)
        config = data.configured(epochs=1).model_copy(update={"published": published})
        run = train(config, data.table, data.features, tmp_path / "runs")
        assert evaluate(run, data.table, data.features).published is None

    def test_a_split_without_labels_is_predicted_only(self, run, data):
        result = evaluate(run, data.table, data.features, split="test", runtime=CPU)
        assert result.metrics is None
        assert len(result.predictions) == 10
        values = json.loads((run / "metrics.json").read_text())["splits"]["test"]
        assert values["scores"] is None
        assert values["published"] == {"mean": 0.3, "source": "Somebody 2023"}

    @pytest.mark.parametrize("name", ["metrics.json", "predictions.parquet"])
    def test_a_damaged_file_is_named(self, run, data, name):
        (run / name).write_text("{broken")
        with pytest.raises(RunError, match=f"{name}: cannot be read"):
            evaluate(run, data.table, data.features, bootstrap=0, runtime=CPU)


class TestPredictions:
    def test_a_clip_without_features_gets_the_train_mean_and_is_named(self, run, data, caplog):
        with caplog.at_level(logging.WARNING):
            frame = predict(run, data.table, data.features, "test", CPU)
        unserved = frame["rule"] == TRAIN_MEAN
        assert list(frame.index[unserved]) == ["00100", "00103"]
        assert set(frame["rule"]) == {"", TRAIN_MEAN}
        means = data.table.label_matrix([clip.id for clip in data.table.split("train")]).mean(axis=0)
        np.testing.assert_allclose(frame.loc[unserved, LABELS], np.tile(means, (2, 1)))
        assert "2 clip(s) without features get the train mean: 00100, 00103" in caplog.text
        assert np.isfinite(frame[LABELS].to_numpy()).all()

    def test_one_modality_is_enough(self, run, data):
        frame = predict(run, data.table, data.features, "test", CPU)
        assert (frame.loc[["00101", "00102"], "rule"] == "").all()

    def test_depend_neither_on_the_batch_nor_on_the_order(self, run, data):
        together = predict(run, data.table, data.features, "val", CPU)[LABELS]
        for ids in (["00072"], ["00060", "00072", "00099"], [f"{number:05d}" for number in range(70, 99)]):
            some = predict(run, narrowed(data.table, ids), data.features, "val", CPU)[LABELS]
            assert (some - together.loc[ids]).abs().to_numpy().max() < 1e-6
        reversed_table = replace(data.table, clips=data.table.clips[::-1])
        backwards = predict(run, reversed_table, data.features, "val", CPU)[LABELS]
        assert (backwards.loc[together.index] - together).abs().to_numpy().max() < 1e-6

    def test_stay_within_the_range_of_the_task(self, tmp_path):
        data = make_data_set(tmp_path)
        table = with_task(data.table, replace(TASK, low=0.4, high=0.6))  # narrower than what a linear output learns
        run = train(data.configured(activation="linear"), table, data.features, tmp_path / "runs", CPU)
        values = predict(run, table, data.features, "val", CPU)[LABELS].to_numpy()
        assert (values.min(), values.max()) == (0.4, 0.6)  # to the last bit


class TestBadInput:
    def test_other_labels_are_refused(self, run, data):
        task = Task("other", ("Approval_", "Disappointment_", "Uncertainty_"))
        with pytest.raises(RunError, match=r"predicts Adoration, Disgust, Empathic-Pain .* are Approval_"):
            evaluate(run, with_task(data.table, task), data.features, runtime=CPU)

    def test_another_range_is_refused(self, run, data):
        with pytest.raises(RunError, match=r"in \[0, 1\], but .* in \[0, 100\]"):
            predict(run, with_task(data.table, replace(TASK, high=100.0)), data.features, "val", CPU)

    def test_other_data_is_warned_of(self, run, data, caplog):
        table = narrowed(data.table, [clip.id for clip in data.table.split("val")][:20])
        with caplog.at_level(logging.WARNING):
            result = evaluate(run, table, data.features, bootstrap=0, runtime=CPU)
        assert "fingerprint differs" in result.notes[0]
        assert "fingerprint differs" in caplog.text

    def test_features_of_another_identity_are_refused(self, run, data, tmp_path):
        other = make_data_set(tmp_path, replace(RECIPE, seed=1))
        with pytest.raises(StoreError, match="features that the run was trained on are not there"):
            predict(run, data.table, other.features, "val", CPU)

    def test_an_empty_split(self, run, data):
        with pytest.raises(DataError, match="no clip of split 'test'"):
            evaluate(run, narrowed(data.table, ["00070"]), data.features, split="test", runtime=CPU)

    def test_no_run(self, tmp_path, data):
        with pytest.raises(RunError, match="not a run folder"):
            evaluate(tmp_path, data.table, data.features, runtime=CPU)

    def test_a_run_of_which_no_epoch_ended(self, tmp_path, data):
        def interrupt(_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(data.config, data.table, data.features, tmp_path, CPU, on_event=interrupt)
        with pytest.raises(RunError, match="no epoch of it ended"):
            evaluate(tmp_path / "tiny-seed3", data.table, data.features, runtime=CPU)

    def test_damaged_weights_are_named(self, tmp_path, data):
        run = train(data.configured(epochs=1), data.table, data.features, tmp_path, CPU)
        path = run / "best.safetensors"
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(RunError, match=r"best\.safetensors: not the weights of this run's model"):
            predict(run, data.table, data.features, "val", Runtime(device="cpu"))
