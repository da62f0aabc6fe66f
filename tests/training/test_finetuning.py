"""A backbone that learns with its head, from cached crops: trained, resumed, evaluated by the usual commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from eri.config import ExperimentConfig, Runtime, parse_config
from eri.evaluation.evaluate import evaluate, predict
from eri.training import train
from eri.training.standardization import create_encoders
from eri.utils.errors import ConfigError
from tests.factories.crops import finetuned_config, make_crop_data_set
from tests.factories.features import DataSet

CPU = Runtime(device="cpu", workers=0)


def run_of(data: DataSet, folder: Path, config: ExperimentConfig | None = None, **options: Any) -> Path:
    return train(config or data.config, data.table, data.features, folder, CPU, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    config = finetuned_config(training={"epochs": 8})
    return make_crop_data_set(tmp_path_factory.mktemp("crops"), config, train=24, val=12)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return run_of(data, tmp_path_factory.mktemp("runs"))


def scored(run: Path, data: DataSet) -> float:
    """Return the mean Pearson of a run on val."""
    metrics = evaluate(run, data.table, data.features, bootstrap=0).metrics
    assert metrics is not None
    assert metrics.score is not None
    return metrics.score


@pytest.mark.slow
def test_the_backbone_learns_what_the_pictures_show(data, run):
    assert scored(run, data) > 0.7
    weights = load_file(run / "best.safetensors")
    inside = [name for name in weights if name.startswith("encoders.visual.backbone")]
    assert inside
    start = start_of(data)
    assert any(not torch.equal(weights[name], start[name]) for name in inside)


def start_of(data: DataSet) -> dict[str, torch.Tensor]:
    """Return the encoder's weights before training, by their names in a run."""
    encoder = create_encoders(data.config)["visual"]
    return {f"encoders.visual.{name}": value for name, value in encoder.state_dict().items()}


@pytest.mark.slow
def test_on_shuffled_labels_it_learns_nothing_of_use(data, run, tmp_path):
    # Not the val score: of 12 clips and the best of several epochs, chance alone reaches far.
    shuffled = data.configured(shuffle_labels=True)
    control = pd.read_csv(run_of(data, tmp_path, shuffled) / "history.csv")
    assert control["val_loss"].iloc[-1] > pd.read_csv(run / "history.csv")["val_loss"].iloc[-1] * 1.3


def test_frozen_normalisation_keeps_its_statistics(data, run):
    weights, start = load_file(run / "best.safetensors"), start_of(data)
    names = [name for name in start if "running_mean" in name]
    assert names
    assert all(torch.equal(weights[name], start[name]) for name in names)


def test_a_clip_is_predicted_the_same_alone(data, run):
    whole = predict(run, data.table, data.features, "val", CPU)
    one = data.table.split("val")[3].id
    others = tuple(clip for clip in data.table.clips if clip.split != "val" or clip.id == one)
    alone = predict(
        run, type(data.table)(data.table.name, data.table.root, data.table.task, others), data.features, "val"
    )
    columns = list(data.table.task.labels)
    assert np.abs(alone.loc[one, columns].to_numpy(float) - whole.loc[one, columns].to_numpy(float)).max() < 1e-5


def test_a_clip_without_a_face_is_left_out_and_named(data, run):
    clips = json.loads((run / "environment.json").read_text())["clips"]
    assert clips["train"]["without_features"] == ["00000"]


@pytest.mark.slow
@pytest.mark.parametrize("augmentation", [None, {"brightness": 1.5}])
def test_a_resumed_run_ends_with_the_same_weights(tmp_path, augmentation):
    config = finetuned_config(training={"epochs": 3, "augmentation": augmentation})
    data = make_crop_data_set(tmp_path, config, train=9, val=4)
    whole = run_of(data, tmp_path / "whole")

    def stop(event):
        if event.kind == "epoch" and event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_of(data, tmp_path / "stopped", on_event=stop)
    resumed = run_of(data, tmp_path / "stopped", resume=True)
    first, second = (load_file(path / "best.safetensors") for path in (whole, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_recomputed_activations_and_small_portions_change_nothing(tmp_path):
    config = finetuned_config(training={"epochs": 1})
    data = make_crop_data_set(tmp_path, config, train=9, val=4)
    small = finetuned_config(
        model={"finetune": {"checkpoint": True, "pictures": 5}}, training=config.training.model_dump()
    )
    first, second = (
        load_file(run_of(data, tmp_path / name, system) / "best.safetensors")
        for name, system in (("plain", config), ("small", small))
    )
    assert all(torch.allclose(first[name], second[name], atol=1e-4) for name in first)


def test_the_backbone_may_have_a_rate_of_its_own(tmp_path):
    config = finetuned_config(model={"finetune": {"learning_rate": 1e-12}}, training={"epochs": 1})
    data = make_crop_data_set(tmp_path, config, train=9, val=4)
    weights, start = load_file(run_of(data, tmp_path / "runs") / "best.safetensors"), start_of(data)
    assert all(torch.allclose(weights[name].float(), start[name].float(), atol=1e-9) for name in start)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"augmentation": {"brightness": 1.5, "versions": 2}}}, "versions: they are of cached embeddings"),
        ({"visual": {"precision": "bf16"}}, r"training\.precision"),
    ],
)
def test_contradictions_name_the_way_out(changes, message):
    with pytest.raises(ConfigError, match=message):
        build(changes)


def build(changes: dict[str, Any]) -> ExperimentConfig:
    """Return the small system with settings of its sections changed."""
    values = finetuned_config().model_dump(mode="json")
    return parse_config(values | {section: {**values[section], **change} for section, change in changes.items()})
