"""`eri cv`, `ensemble`, `compare` and `search` as a user meets them, on features without media."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner, Result

from eri.cli.app import app
from eri.config import load_config
from eri.config.training import GradientTraining
from eri.data import load_clips
from eri.features.records import FeatureSequence
from eri.features.sources import Source
from eri.features.store import FeatureStore, remember_config
from eri.utils.errors import EriError
from tests.factories.features import TASK, Recipe, make_config


def write_data(folder: Path) -> None:
    """Write a manifest, its table, features with a signal and a config."""
    generator = np.random.default_rng(0)
    labels = generator.random((36, 3)).round(4)
    table = pd.DataFrame(labels, columns=list(TASK.labels))
    table.insert(0, "id", [f"{number:03d}" for number in range(36)])
    table.insert(1, "split", ["train"] * 20 + ["val"] * 12 + ["test"] * 4)
    table.insert(2, "speaker", [f"s{number % 6}" for number in range(36)])
    table.to_csv(folder / "labels.csv", index=False)
    columns = {"id": "id", "split": "split", "group": "speaker"}
    description = {"name": "tiny", "table": "labels.csv", "columns": columns, "paths": {"video": "{id}.mp4"}}
    (folder / "data.yaml").write_text(yaml.safe_dump({**description, "labels": list(TASK.labels)}))
    config = make_config(Recipe())
    (folder / "system.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    store = FeatureStore(folder / "features").folder("resnet18", {"a": 1})
    assert config.visual is not None
    remember_config(store, config.visual)
    for clip_id, row in zip(table["id"], labels, strict=True):
        rows = np.repeat(row[None], 3, axis=0) + 0.1 * generator.normal(size=(3, 3))
        features = FeatureSequence(rows.astype(np.float32), np.arange(3.0), np.zeros(3, np.uint8))
        store.write(clip_id, features, Source(f"{clip_id}.mp4", size=1, mtime_ns=1, sha256="00"))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(app, [*arguments, "-d", "data.yaml"])
        if isinstance(result.exception, EriError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return invoke


def test_from_folds_to_a_comparison(run, tmp_path):
    short = ("training.epochs=2", "-c", "system.yaml", "--folds", "3", "--workers", "1", "--device", "cpu")
    out = run("cv", *short, "--seeds", "2", "--name", "a").output
    assert all(text in out for text in ("6/6 repeat1-fold3-seed4", "fold 2", "one seed alone", "optimism"))
    run("cv", *short, "training.learning_rate=0.003", "--name", "b")
    out = run("ensemble", "a", "b", "--method", "ridge").output
    assert all(text in out for text in ("b alone", "nested over 32 clips", "the optimism is"))
    out = run("compare", "ensemble-ridge", "a").output
    assert all(text in out for text in ("p, Holm", "mean", *TASK.labels))
    assert "t-test" not in out
    out = run("compare", "a", "b").output
    assert out.count("over 3 folds, ") == 2
    assert "(one tail)" in out
    out = run("compare", "a", "b", "--by", "subject").output
    assert "32 clips of 6 subjects, paired bootstrap over subjects" in out
    folder = tmp_path / "runs"
    assert json.loads((folder / "a" / "cv.json").read_text())["seeds"] == [3, 4]
    assert len(pd.read_parquet(folder / "a" / "out_of_fold.parquet")) == 64
    inputs = json.loads((folder / "ensemble-ridge" / "inputs.json").read_text())
    assert inputs["data"] == str(tmp_path / "data.yaml")


def test_search(run, tmp_path):
    (tmp_path / "space.yaml").write_text("training.learning_rate: {choices: [0.01, 0.02]}")
    result = run("search", "space.yaml", "training.epochs=2", "-c", "system.yaml", "--trials", "2", "--device", "cpu")
    assert "2 trials complete" in result.output
    assert "score it with eri cv" in result.output
    best = load_config(tmp_path / "runs" / "tiny-search" / "best.yaml")
    assert best.training_of(GradientTraining).learning_rate in (0.01, 0.02)
    assert len(load_clips(tmp_path / "data.yaml")) == 36


@pytest.mark.slow
def test_the_splits_to_use_can_be_named(run, tmp_path):
    short = ("training.epochs=1", "-c", "system.yaml", "--folds", "2", "--inner", "3", "--workers", "1")
    run("cv", *short, "--split", "train", "--name", "train-only", "--device", "cpu")
    run("cv", *short, "--name", "both", "--device", "cpu")
    dealt, both = (pd.read_csv(tmp_path / "runs" / name / "folds.csv") for name in ("train-only", "both"))
    assert 0 < dealt["clip_id"].nunique() < both["clip_id"].nunique()
