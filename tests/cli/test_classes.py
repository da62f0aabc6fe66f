"""The whole command line on a table of classes: from training to a comparison, with the tables that are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner, Result

from eri.cli import app as cli
from eri.features.records import FeatureSequence
from eri.features.sources import Source
from eri.features.store import FeatureStore, remember_config
from eri.utils.errors import ConfigError, EriError, SubmissionError
from tests.factories.features import Recipe, make_config

CLASSES = ("calm", "angry", "sad")


def write_data(folder: Path) -> None:
    """Write a manifest of classes, its table, features with a signal and a config."""
    generator = np.random.default_rng(0)
    chosen = np.arange(48) % 3
    table = pd.DataFrame({"id": [f"{number:03d}" for number in range(48)], "mood": [CLASSES[c] for c in chosen]})
    table["split"] = ["train"] * 28 + ["val"] * 14 + ["test"] * 6
    table["speaker"] = [f"s{number % 8}" for number in range(48)]
    table.to_csv(folder / "labels.csv", index=False)
    description = {
        "name": "moods",
        "kind": "classification",
        "table": "labels.csv",
        "columns": {"id": "id", "split": "split", "group": "speaker", "class": "mood"},
        "paths": {"video": "{id}.mp4"},
        "labels": list(CLASSES),
    }
    (folder / "data.yaml").write_text(yaml.safe_dump(description))
    config = make_config(Recipe())
    (folder / "system.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    store = FeatureStore(folder / "features").folder("resnet18", {"a": 1})
    assert config.visual is not None
    remember_config(store, config.visual)
    for clip_id, one in zip(table["id"], chosen, strict=True):
        rows = np.eye(3)[[one] * 3] + 0.4 * generator.normal(size=(3, 3))
        features = FeatureSequence(rows.astype(np.float32), np.arange(3.0), np.zeros(3, np.uint8))
        store.write(clip_id, features, Source(f"{clip_id}.mp4", size=1, mtime_ns=1, sha256="00"))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)

    def invoke(*arguments: str) -> str:
        result: Result = CliRunner().invoke(cli.app, [*arguments])
        if isinstance(result.exception, EriError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return invoke


@pytest.mark.slow
def test_from_training_to_a_comparison(run):
    data, system = ("-d", "data.yaml"), ("-c", "system.yaml", "--device", "cpu")
    out = run("train", "training.epochs=8", *data, *system)
    assert "WAR" in out
    assert "Pearson" not in out
    assert "eri submit" not in out

    out = run("evaluate", "tiny-seed3", "--bootstrap", "100", "--device", "cpu")
    assert all(text in out for text in ("recall", "UAR", "WAR", "class ↓ decision →"))
    assert "Pearson" not in out
    confusion = [line.split("│")[2:5] for line in out.split("class ↓")[1].splitlines() if line.startswith("│")]
    assert [sum(int(cell) for cell in cells) for cells in confusion] == [4, 5, 5]

    short = ("--folds", "3", "--workers", "1")
    out = run("cv", "training.epochs=6", *data, *system, *short, "--name", "a")
    assert all(text in out for text in ("3/3 repeat1-fold3-seed3: WAR", "WAR, mean over the folds", "UAR", "optimism"))
    assert "Pearson" not in out
    run("cv", "training.epochs=1", *data, *system, *short, "--name", "b")
    out = run("ensemble", "a", "b", *data, "--device", "cpu")
    assert all(text in out for text in ("b alone", "WAR on the clips it was fitted on", "class ↓ decision →"))
    out = run("compare", "ensemble-weighted", "b", *data, "--device", "cpu")
    assert all(text in out for text in ("p, Holm", "UAR", "WAR", *CLASSES))
    assert "mean" not in out

    with pytest.raises(ConfigError, match="--method mean or weighted"):
        run("ensemble", "a", "b", "--method", "ridge", *data)
    with pytest.raises(SubmissionError, match="no challenge takes the class probabilities"):
        run("submit", "tiny-seed3", "--device", "cpu")
    with pytest.raises(SubmissionError, match="no challenge takes the class probabilities"):
        run("validate", "labels.csv", *data)


def test_search_names_the_score(run, tmp_path):
    (tmp_path / "space.yaml").write_text("training.learning_rate: {choices: [0.01, 0.02]}")
    out = run("search", "space.yaml", "training.epochs=2", "-d", "data.yaml", "-c", "system.yaml", "--trials", "2")
    assert "best validation WAR" in out
