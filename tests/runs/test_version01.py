"""Runs and features of version 0.1 still open, predict what they predicted then, and have the same scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eri.config import Runtime, load_config
from eri.evaluation.evaluate import evaluate, predict
from eri.features.store import find_folder
from eri.runs.folders import read_cv
from eri.training.run_folder import read_run
from tests.factories.version01 import FIXTURE, RUNS, SELECTIONS, Version01

CPU = Runtime(device="cpu")
LABELS = ["Joy", "Fear", "Awe"]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Version01:
    return Version01.copy(tmp_path_factory.mktemp("old") / "v0.1")


@pytest.mark.parametrize("name", [*RUNS, *SELECTIONS])
def test_the_predictions_are_those_of_then(old, name):
    recorded = pd.read_csv(FIXTURE / "predictions.csv").set_index(["run", "clip_id"]).loc[name]
    found = predict(old.runs / name, old.table, old.features, "test", CPU)
    assert list(found.index) == list(recorded.index)
    np.testing.assert_allclose(found[LABELS].to_numpy(), recorded[LABELS].to_numpy(), atol=2e-6)


@pytest.mark.parametrize("name", RUNS)
def test_the_scores_are_those_of_then(old, name):
    recorded = json.loads((FIXTURE / "runs" / name / "metrics.json").read_text())["splits"]["val"]
    result = evaluate(old.runs / name, old.table, old.features, bootstrap=50, runtime=CPU)
    assert result.metrics is not None
    scores = result.metrics.to_json()
    for label, values in recorded["scores"]["labels"].items():
        assert scores["labels"][label]["pearson"] == pytest.approx(values["pearson"], abs=1e-4)
        assert scores["labels"][label]["mse"] == pytest.approx(values["mse"], abs=1e-6)
    assert list(result.fallback) == recorded["fallback"]["clips"]
    # 0.1 called scores figures.
    assert list(result.notes) == [note.replace("figures", "scores") for note in recorded["notes"]]
    assert list(result.predictions.index[result.predictions["rule"] == "train-mean"]) == recorded["fallback"]["clips"]


@pytest.mark.parametrize("path", sorted((FIXTURE / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_config_of_every_shipped_system_is_read(path: Path):
    assert load_config(str(path)).name == path.stem


def test_an_export_is_a_run(old):
    assert read_run(old.root / "exported").config.name == "visual"


@pytest.mark.parametrize(("name", "config"), [("cv", "imported"), ("cv-trees", "trees")])
def test_a_cross_validation_was_begun_with_the_config_that_it_would_have_now(old, name, config):
    settings = read_cv(old.runs / name)["config"]
    assert settings == load_config(FIXTURE / f"{config}.yaml").model_dump(mode="json")


def test_cached_features_are_found_with_their_brightened_versions(old):
    config = load_config(FIXTURE / "visual.yaml")
    found = [find_folder(old.features, extractor) for extractor in (*config.extractors.values(), *config.drawn)]
    assert [folder.path.name[-12:] for folder in found] == ["92990f7a46a3", "4c7064be6486"]
