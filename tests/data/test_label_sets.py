"""Every label set goes the whole way through the same commands, on the organisers' features and without any media."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from eri.api import commands
from eri.config.tasks import EMI, ERI, MIMIC, PERCEPTION, Task
from eri.data import load_clips
from eri.features.exchange.importing import import_features
from tests.factories.challenge import Entry, make_entries, write_emi, write_muse
from tests.factories.organisers import csv_text

NAMES = tuple(f"f{number}" for number in range(8))


def features_of(entry: Entry) -> np.ndarray:
    """Make a few rows that tell the labels, with noise."""
    generator = np.random.default_rng(int(entry.id))
    signal = np.zeros(len(NAMES))
    labels = np.asarray(entry.labels if entry.labels is not None else generator.random(3))[: len(NAMES)]
    signal[: len(labels)] = labels
    return (signal + 0.1 * generator.normal(size=(int(generator.integers(1, 5)), len(NAMES)))).astype(np.float32)


def write_data(root: Path, task: Task) -> str:
    """Write a data set with features of all but one test clip, and return the name of the features."""
    entries = make_entries(24, 12, 6, task=task, shuffle=False)
    if task is EMI:

        def save_array(path: Path, entry: Entry) -> None:
            if entry is not entries[-1]:
                _save(path, pickle.dumps(features_of(entry)))

        write_emi(root, entries, test_table=True, features={"vit": save_array})
        return "vit"
    home = write_muse(root, entries, task=task)
    for entry in entries[:-1]:
        path = home / "features" / "FAUs" / f"{entry.id}.csv"
        _save(path, csv_text(entry.id, features_of(entry), names=NAMES, id_cell="{}").encode())
    return "FAUs"


def _save(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.mark.parametrize("task", [ERI, EMI, MIMIC, PERCEPTION], ids=lambda task: task.name)
def test_from_the_organisers_features_to_a_valid_submission(tmp_path, task):
    name = write_data(tmp_path / "data", task)
    table = load_clips(tmp_path / "data")
    report = import_features(table, tmp_path / "data", tmp_path / "features", name=name)
    assert (report.added, report.absent) == (41, 1)
    config = {
        "name": "tiny",
        "modality": "visual",
        "visual": {"extractor": "imported", "name": name, "modality": "visual"},
        "model": {"name": "lstm", "hidden_size": 8, "dense": 8, "dropout": 0.0},
        "training": {"epochs": 3, "batch_size": 8, "learning_rate": 0.02},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    places = {"data": tmp_path / "data", "features": tmp_path / "features"}
    assert commands.extract(config=tmp_path / "tiny.yaml", **places).exit_code == 0
    run = commands.train(config=tmp_path / "tiny.yaml", runs=tmp_path / "runs", **places)
    metrics = commands.evaluate(run, bootstrap=100).metrics
    assert metrics is not None
    assert metrics.score is not None, "no label is constant"
    file, findings = commands.submit(run, submissions=tmp_path / "submissions")
    assert findings == commands.validate(file, data=tmp_path / "data") == []
    frame = pd.read_csv(file, dtype={str(task.id_column): str})
    assert list(frame.columns) == [task.id_column, *task.labels]
    assert len(frame) == 6, "the test clip without features has a row, too"
