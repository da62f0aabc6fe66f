"""Evaluating a run of classes: WAR, UAR, recalls and the confusion matrix, in the files that every run has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from eri.config import Published
from eri.config.tasks import Task
from eri.evaluation.evaluate import evaluate, predict
from eri.metrics.recognition import Recognition, recognize
from eri.runs.opening import TRAIN_MEAN
from eri.training import train
from eri.utils.errors import RunError
from tests.factories.features import DataSet, Recipe, make_data_set
from tests.training.test_experiment import CPU

CLASSES = ("calm", "angry", "sad")
RECIPE = Recipe(classes=CLASSES, sizes={"train": 60, "val": 40, "test": 12}, absent={"visual": ["00065", "00101"]})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return make_data_set(tmp_path_factory.mktemp("data"), RECIPE)


@pytest.fixture(scope="module")
def run(data: DataSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    published = Published(source="Somebody 2023", task="moods", metric="uar", validation=0.48)
    config = data.configured(epochs=6).model_copy(update={"published": published})
    return train(config, data.table, data.features, tmp_path_factory.mktemp("runs"), CPU)


def test_figures_are_those_of_the_predictions(run, data):
    result = evaluate(run, data.table, data.features, bootstrap=100, runtime=CPU)
    ids = [clip.id for clip in data.table.split("val")]
    truth = data.table.label_matrix(ids)
    assert result.metrics == recognize(result.predictions[list(CLASSES)].to_numpy(), truth, CLASSES, resamples=100)
    assert result.metrics is not None
    assert result.metrics.score is not None
    assert result.metrics.score > 0.75
    assert (result.published, result.published_as) == (0.48, "UAR")


def test_files_hold_them(run, data):
    result = evaluate(run, data.table, data.features, bootstrap=100, runtime=CPU)
    evaluate(run, data.table, data.features, split="test", runtime=CPU)
    assert isinstance(result.metrics, Recognition)
    splits = json.loads((run / "metrics.json").read_text())["splits"]
    values = splits["val"]
    assert values["metric"] == "WAR, the share of clips decided rightly"
    assert (values["scores"]["war"], values["scores"]["uar"]) == (result.metrics.war, result.metrics.uar)
    assert np.array(values["scores"]["confusion"]).sum() == 40
    assert values["scores"]["war_interval"]["low"] < result.metrics.war < values["scores"]["war_interval"]["high"]
    assert values["scores"]["classes"]["sad"]["recall"] == result.metrics.classes["sad"].recall
    assert values["published"] == {"uar": 0.48, "source": "Somebody 2023"}
    assert values["fallback"] == {"rule": "train-mean", "clips": ["00065"]}
    assert splits["test"]["scores"] is None
    frame = pd.read_parquet(run / "predictions.parquet")
    assert list(frame.columns) == ["clip_id", "split", *CLASSES, "rule"]
    np.testing.assert_allclose(frame[list(CLASSES)].sum(axis=1), 1.0, atol=1e-6)


def test_a_clip_without_features_gets_the_class_frequencies(run, data):
    frame = predict(run, data.table, data.features, "test", CPU)
    assert list(frame.index[frame["rule"] == TRAIN_MEAN]) == ["00101"]
    shares = data.table.label_matrix([clip.id for clip in data.table.split("train")]).mean(axis=0)
    np.testing.assert_allclose(frame.loc[["00101"], list(CLASSES)].to_numpy()[0], shares)


@pytest.mark.parametrize(("task", "metric"), [("other", "uar"), ("moods", "mean_pearson")])
def test_a_figure_of_another_task_or_kind_is_not_shown(data, tmp_path, task, metric: Literal["uar", "mean_pearson"]):
    published = Published(source="Somebody 2023", task=task, metric=metric, validation=0.48)
    config = data.configured(epochs=1).model_copy(update={"published": published})
    run = train(config, data.table, data.features, tmp_path, CPU)
    assert evaluate(run, data.table, data.features, bootstrap=0, runtime=CPU).published is None


def test_intensities_of_the_same_names_are_refused(run, data):
    table = replace(data.table, task=Task("moods", CLASSES))
    with pytest.raises(RunError, match=r"predicts the classes calm, angry, sad, but the labels of .* are calm, angry"):
        evaluate(run, table, data.features, runtime=CPU)
