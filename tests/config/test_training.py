"""The section `training`: each kind of model has its own settings, and an unread one is named with where it belongs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from eri.config import (
    EmbeddingTraining,
    ExperimentConfig,
    GradientTraining,
    HeadTraining,
    ImageConfig,
    TrainingConfig,
    VideoTraining,
    config_schema,
    load_config,
    parse_config,
)
from eri.utils.errors import ConfigError

HEAD: dict[str, Any] = {"name": "small", "modality": "visual", "visual": {}, "model": {"name": "lstm"}}
FINETUNED = HEAD | {"model": {"name": "lstm", "finetune": True}}
TREES = HEAD | {"model": {"name": "lightgbm"}}
VIDEO = HEAD | {"visual": {"extractor": "crops"}, "model": {"name": "ceflnet", "frames": 14}}
AUDIO = {"name": "small", "modality": "audio", "audio": {"extractor": "mfcc"}, "model": {"name": "lstm"}}


def read(system: dict[str, Any], **training: Any) -> ExperimentConfig:
    return parse_config({**system, "training": training}, origin="small.yaml")


@pytest.mark.parametrize(
    ("system", "section"),
    [(HEAD, EmbeddingTraining), (FINETUNED, HeadTraining), (TREES, TrainingConfig), (VIDEO, VideoTraining)],
)
def test_the_section_is_of_the_kind_of_the_model(system, section):
    assert type(parse_config(system).training) is section
    assert type(read(system, seed=3).training) is section


@pytest.mark.parametrize(
    ("system", "training", "message"),
    [
        (TREES, {"epochs": 3}, r"training.epochs: no setting of lightgbm, whose own, such as rounds"),
        (TREES, {"regularization": {"mixup": 0.2}}, "training.regularization: no setting of lightgbm"),
        (TREES, {"augmentation": {"brightness": 1.5}}, "training.augmentation: no setting of lightgbm"),
        (TREES, {"balancing": {"copies": "even"}}, "training.balancing: no setting of lightgbm"),
        (TREES, {"sed": 1}, r"training.sed: no such setting \(did you mean 'seed'"),
        (HEAD, {"balancing": {"copies": "even"}}, "training.balancing: no setting of a head: it reads embeddings"),
        (HEAD, {"augmentation": {"flip": 0.5}}, "training.augmentation.flip: no setting of a head"),
        (FINETUNED, {"augmentation": {"flip": 0.5}}, "training.augmentation.flip: no setting of a head"),
        (HEAD, {"augmentation": {"version": 2}}, r"no such setting \(did you mean 'versions'"),
        (HEAD, {"augmentation": {"versions": 0}}, "greater than or equal to 1"),
        (VIDEO, {"center": ["visual"]}, "training.center: no setting of a video model: it reads images"),
        (VIDEO, {"standardize": False}, "training.standardize: no setting of a video model"),
        (VIDEO, {"chunk": 4}, "training.chunk: no setting of a video model"),
        (VIDEO, {"regularization": {"mixup": 0.2}}, "training.regularization.mixup: no setting of a video model"),
        (VIDEO, {"regularization": {"ema": 0.2}}, "training.regularization.ema: no such setting"),
        (AUDIO, {"augmentation": {"brightness": 1.5}}, "the section 'visual' names none"),
    ],
)
def test_settings_of_other_models_are_refused_with_where_they_belong(system, training, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read(system, **training)
    assert caught.value.message.startswith("small.yaml: ")


def test_a_video_model_may_average_its_weights():
    regularization = read(VIDEO, regularization={"ema_decay": 0.9}).training_of(VideoTraining).regularization
    assert regularization.model_dump() == {"ema_decay": 0.9}


def test_settings_that_a_model_does_not_read_may_stand_at_their_defaults():
    unread = {"standardize": True, "center": [], "chunk": None, "regularization": {"mixup": None, "ema_decay": 0.9}}
    assert read(VIDEO, **unread) == read(VIDEO, regularization={"ema_decay": 0.9})
    assert read(TREES, epochs=30, loss={"ccc": 0.0}, regularization={}, balancing=None) == parse_config(TREES)
    assert read(HEAD, balancing=None) == parse_config(HEAD)


def test_brightened_versions_are_made_of_the_visual_embeddings():
    config = read(HEAD, augmentation={"versions": 2})
    assert [(made.brightness, made.draw) for made in config.drawn] == [(1.5, 1), (1.5, 2)]
    assert config.extractors == {"visual": ImageConfig()}
    assert parse_config(HEAD).drawn == read(FINETUNED, augmentation={"brightness": 2}).drawn == ()


def test_augmentation_is_switched_on_and_off_on_the_command_line():
    assert len(load_config("yap-csm-v4", ["training.augmentation.versions=3"]).drawn) == 3
    assert load_config("yap-csm-v4", ["training.augmentation=null"]).drawn == ()
    assert len(load_config("demo-visual", ["training.augmentation.versions=1"]).drawn) == 1
    switched = ["training.augmentation=null", "training.augmentation.versions=2"]
    assert len(load_config("yap-csm-v4", switched).drawn) == 2


def test_what_is_wrong_with_the_model_hides_no_misfit_of_its_training():
    with pytest.raises(ConfigError, match="2 setting") as caught:
        parse_config({**HEAD, "model": {"name": "lstm", "layers": 0}, "training": {"epochs": 0, "standardize": False}})
    assert "model.layers" in str(caught.value)
    assert "training.epochs" in str(caught.value)


def test_sections_made_in_python_must_be_of_the_model_too():
    made = ExperimentConfig(**HEAD, training=EmbeddingTraining(epochs=2))
    assert made.training_of(GradientTraining).epochs == 2
    with pytest.raises(ValidationError, match="training is VideoTraining, but that of lstm is EmbeddingTraining"):
        ExperimentConfig(**HEAD, training=VideoTraining())
    with pytest.raises(TypeError, match="the training of lstm is no VideoTraining"):
        made.training_of(VideoTraining)


def test_the_schema_has_the_section_of_every_kind_of_model():
    known = json.dumps(config_schema()["properties"]["training"])
    assert all(f"/{name}" in known for name in ("TrainingConfig", "EmbeddingTraining", "HeadTraining", "VideoTraining"))


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
        GradientTraining(**settings)
