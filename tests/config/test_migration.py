"""Configs of version 0.1, which loading migrates: each setting is found where it stands now."""

from __future__ import annotations

from typing import Any

import pytest

from eri.config import (
    DrawnImageConfig,
    EmbeddingTraining,
    ExperimentConfig,
    HeadTraining,
    ImageConfig,
    LightGBMConfig,
    RegularizationConfig,
    TrainingConfig,
    VideoTraining,
    load_config,
    parse_config,
    parse_extractor,
)
from eri.utils.errors import ConfigError

TRAINING: dict[str, Any] = {
    "seed": 7,
    "epochs": 30,
    "batch_size": 64,
    "loss": {"mse": None, "ccc": 0.0, "class_weights": "none"},
    "regularization": {"mixup": None, "feature_noise": 0.0, "modality_dropout": 0.0, "ema_decay": None},
    "standardize": True,
    "center": [],
    "augmentation": None,
    "balancing": None,
    "chunk": None,
    "shuffle_labels": False,
}
"""What 0.1 wrote of every model, in part."""


def read(model: dict[str, Any], visual: dict[str, Any], **training: Any) -> ExperimentConfig:
    sections = {"visual": visual, "model": model, "training": {**TRAINING, **training}}
    return parse_config({"name": "old", "modality": "visual", **sections})


def augmentation(config: ExperimentConfig) -> Any:
    changed = config.training_of(HeadTraining).augmentation
    return None if changed is None else changed.model_dump()


@pytest.mark.parametrize(
    ("visual", "expected"),
    [
        ({"brightness": 1.5, "draws": 2}, {"brightness": 1.5, "versions": 2}),
        ({"brightness": None, "draws": 0}, None),
        ({"draws": 0}, None),
        ({}, None),
    ],
)
def test_versions_of_cached_embeddings(visual, expected):
    config = read({"name": "lstm"}, {"extractor": "resnet50", **visual}, center=["visual"])
    assert augmentation(config) == expected
    assert config.visual == ImageConfig()
    assert config.training_of(EmbeddingTraining).center == ("visual",)
    assert len(config.drawn) == visual.get("draws", 0)


@pytest.mark.parametrize(("brightness", "expected"), [(1.5, {"brightness": 1.5}), (None, None)])
def test_the_brightness_of_a_backbone_that_learns(brightness, expected):
    config = read({"name": "lstm", "finetune": True}, {"brightness": brightness, "draws": 0})
    assert augmentation(config) == expected


def test_boosted_trees_read_seed_and_shuffle_labels_alone():
    config = read({"name": "lightgbm", "rounds": 3}, {"brightness": None, "draws": 0}, shuffle_labels=True)
    assert isinstance(config.model, LightGBMConfig)
    assert config.training == TrainingConfig(seed=7, shuffle_labels=True)
    with pytest.raises(ConfigError, match=r"training\.epochs: no setting of lightgbm"):
        read({"name": "lightgbm"}, {}, epochs=31)
    with pytest.raises(ConfigError, match=r"training\.augmentation: no setting of lightgbm"):
        read({"name": "lightgbm"}, {"brightness": 1.5, "draws": 1})


def test_a_video_model_keeps_what_it_reads():
    visual = {"extractor": "crops", "input_size": 112}
    own = {"augmentation": {"flip": 0.5}, "balancing": {"copies": "even"}}
    averaged = {**RegularizationConfig().model_dump(), "ema_decay": 0.9}
    training = read({"name": "r2plus1d-scl"}, visual, **own, regularization=averaged).training
    assert isinstance(training, VideoTraining)
    assert training.augmentation is not None
    assert (training.augmentation.flip, training.regularization.ema_decay, training.seed) == (0.5, 0.9, 7)
    with pytest.raises(ConfigError, match=r"training\.regularization.mixup: no setting of a video model"):
        read({"name": "r2plus1d-scl"}, visual, regularization={"mixup": 0.2})


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["visual.draws=3"], {"brightness": 1.5, "versions": 3}),
        (["visual.brightness=1.8"], {"brightness": 1.8, "versions": 1}),
        (["visual.draws=0", "visual.brightness=null"], None),
    ],
)
def test_earlier_names_work_on_the_command_line(overrides, expected):
    assert augmentation(load_config("yap-csm-v4", overrides)) == expected


def test_what_does_not_fit_is_refused_under_its_name_of_now():
    with pytest.raises(ConfigError, match=r"^visual.brightness=1 .*\n  training.augmentation.brightness: Input should"):
        load_config("yap-csm-v4", ["visual.brightness=1"])
    with pytest.raises(ValueError, match=r"stands as training\.augmentation\.versions"):
        ImageConfig(draws=1)  # type: ignore[call-arg]


def test_recorded_extractors_are_those_of_now():
    recorded = ImageConfig(frames=8).model_dump(mode="json")
    assert parse_extractor({**recorded, "brightness": 1.5, "draws": 2}) == ImageConfig(frames=8)
    drawn = parse_extractor({**recorded, "brightness": 1.5, "draws": 0, "draw": 2})
    assert drawn == DrawnImageConfig(frames=8, brightness=1.5, draw=2)
