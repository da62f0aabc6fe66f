"""Systems whose model reads pictures: what their sections must agree on, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from eri.config import CropsConfig, ExperimentConfig, TrainingConfig, parse_config
from eri.utils.errors import ConfigError

SYSTEM: dict[str, Any] = {
    "name": "small",
    "modality": "visual",
    "visual": {"extractor": "crops", "frames": 24, "input_size": 64},
    "model": {"name": "r2plus1d-scl", "weights": "random", "input_size": 64},
}


def read(**changes: Any) -> ExperimentConfig:
    return parse_config({**SYSTEM, **changes}, origin="small.yaml")


def test_a_video_model_reads_cached_crops():
    config = read()
    assert config.extractors == {"visual": CropsConfig(frames=24, input_size=64)}
    assert config.finetune is None
    assert config.drawn == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"visual": {"extractor": "resnet50"}}, "visual.extractor gives embeddings"),
        ({"visual": {"extractor": "crops", "frames": 24, "input_size": 48}}, "is not model.input_size 64"),
        ({"visual": {"extractor": "crops", "frames": 8, "input_size": 64}}, "more than the visual.frames 8"),
        ({"modality": "multimodal", "audio": {"extractor": "mfcc"}}, "reads face crops alone"),
        ({"training": {"center": ["visual"]}}, "does not read training.center"),
        ({"training": {"standardize": False}}, "does not read training.standardize"),
        ({"training": {"regularization": {"mixup": 0.2}}}, "does not read training.regularization.mixup"),
        ({"training": {"chunk": 4}}, "does not read training.chunk"),
    ],
)
def test_sections_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        read(**changes)


@pytest.mark.parametrize("setting", [{"augmentation": {"flip": 0.5}}, {"balancing": {"copies": "even"}}])
@pytest.mark.parametrize("model", ["lstm", "lightgbm"])
def test_changes_to_pictures_are_refused_of_models_that_read_embeddings(model, setting):
    with pytest.raises(ConfigError, match=f"does not read training.{next(iter(setting))}"):
        read(visual={"extractor": "resnet50"}, model={"name": model}, training=setting)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"warmup": 30}, "leaves none of the 30"),
        ({"reduce_on_plateau": True, "schedule": "cosine"}, "would both set the learning rate"),
        ({"reduce_on_plateau": True, "warmup": 1}, "would both set the learning rate"),
    ],
)
def test_schedules_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**settings)
