"""Every shipped system goes the whole way on a miniature of its data set."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from eri.api import commands
from eri.cli.app import app
from eri.config import Runtime, VideoModelConfig, config_names, find_space, load_config, space_names
from eri.config.training import GradientTraining
from eri.data import load_clips
from eri.evaluation.cross_validation import cv
from eri.evaluation.folds import FoldPlan
from eri.evaluation.search_space import read_space, refuse_misfits
from eri.metrics.recognition import Recognition
from tests.factories.challenge_clips import small_overrides, write_challenge
from tests.factories.expressions import WRITERS, Miniature

CPU = Runtime(device="cpu", workers=0)
SIZE = Miniature(subjects=4, classes=2, frames=10, side=48)
VIDEO = [name for name in config_names() if isinstance(load_config(name).model, VideoModelConfig)]
SHOWN_ON = {"cnn3d-optuna": "ck-plus"}
"""Data sets of video systems that have no published figure of their own."""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    write_challenge(folder / "data", train=9, val=3, test=2)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", config_names())
def test_a_shipped_system_extracts_trains_evaluates_and_submits(name, workplace):
    overrides = small_overrides(load_config(name))
    features, runs = workplace / "features", workplace / "runs"
    report = commands.extract(
        workplace / "data", config=name, overrides=overrides, features=features, device="cpu", workers=0
    )
    assert report.exit_code == 0
    run = commands.train(workplace / "data", config=name, overrides=overrides, features=features, runs=runs)
    result = commands.evaluate(run)
    assert result.metrics is not None
    assert result.metrics.clips == 3
    path, findings = commands.submit(run, submissions=workplace / "submissions")
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3
    assert {finding.code for finding in findings if finding.severity == "error"} <= {"constant-column"}
    shutil.rmtree(run)  # the weights of some are large


@pytest.mark.slow
@pytest.mark.parametrize("name", VIDEO)
def test_a_video_system_recognises_the_classes_of_its_data_set(name, workplace):
    published = load_config(name).published
    data = write_data_set(workplace, published.task if published is not None else SHOWN_ON[name])
    overrides = [item for item in small_overrides(load_config(name)) if not item.startswith("training.balancing")]
    features, runs = workplace / "features", workplace / "runs"
    assert (
        commands.extract(data, config=name, overrides=overrides, features=features, device="cpu", workers=0).exit_code
        == 0
    )
    table = load_clips(data)
    if table.split("val"):
        run = commands.train(data, config=name, overrides=overrides, features=features, runs=runs, name="classes")
        result = commands.evaluate(run, bootstrap=20)
        assert result.published == (published.validation if published is not None else None)
        scores, predictions = result.metrics, result.predictions
    else:
        config, plan = load_config(name, overrides), FoldPlan(folds=2, inner=2)
        validated = cv(config, table, features, runs, CPU, plan=plan, bootstrap=20, name="classes")
        scores, predictions = validated.metrics, pd.read_parquet(validated.path / "predictions.parquet")
        predictions = predictions.set_index("clip_id")
    assert isinstance(scores, Recognition)
    truth = table.label_matrix(list(predictions.index)).argmax(axis=1)
    classes = predictions[list(table.task.labels)]
    assert scores.war == pytest.approx((classes.to_numpy().argmax(axis=1) == truth).mean())
    np.testing.assert_allclose(classes.sum(axis=1), 1, atol=1e-6)
    assert sum(map(sum, scores.confusion)) == len(table.split("val") or table.clips)
    shutil.rmtree(runs / "classes")


def write_data_set(workplace: Path, name: str) -> Path:
    """Write the miniature of a data set, unless it is there."""
    folder = workplace / name
    if not folder.is_dir():
        WRITERS[name](folder, SIZE)
    return folder


@pytest.mark.slow
def test_the_3d_cnn_is_searched_over_its_shipped_space(workplace):
    data = write_data_set(workplace, "ck-plus")
    overrides = small_overrides(load_config("cnn3d-optuna"))
    commands.extract(
        data, config="cnn3d-optuna", overrides=overrides, features=workplace / "features", device="cpu", workers=0
    )
    places = ["--data", data, "--features", workplace / "features", "--runs", workplace / "runs", "--device", "cpu"]
    options = ["-c", "cnn3d-optuna", "--leave-one-group-out", "--floor", "0", "--pruning", "none", "--trials", "2"]
    arguments = ["search", "cnn3d-optuna", *overrides, *options, *places]
    outcome = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert "2 trials complete, 0 pruned, 0 failed" in outcome.output
    assert "model.nonlinearity: " in outcome.output
    best = load_config(workplace / "runs" / "cnn3d-optuna-search" / "best.yaml")
    assert best.training_of(GradientTraining).epochs == 1


@pytest.mark.parametrize("name", config_names())
def test_a_shipped_system_carries_its_file_name_and_says_what_it_is(name):
    config = load_config(name)
    assert config.name == name
    assert config.description


@pytest.mark.parametrize("name", space_names())
def test_a_shipped_search_space_fits_the_system_of_its_name(name):
    refuse_misfits(load_config(name), read_space(find_space(name)))


def test_the_defaults_of_the_modalities_are_shipped():
    for modality, name in commands.DEFAULT_CONFIGS.items():
        assert load_config(name).modality == modality
