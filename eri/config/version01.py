"""Configs of version 0.1, in which some settings stood elsewhere, as those of now."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from eri.config.extractors import EXTRACTORS, ImageConfig
from eri.config.models import MODELS, HeadConfig, ModelConfig
from eri.config.training import EmbeddingTraining, HeadTraining, VideoTraining


def migrate(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with its settings where they stand now; what does not fit stays, to be refused.

    ``visual.brightness`` and ``visual.draws`` become ``training.augmentation``. Settings of ``training`` that the model
    does not read are left out where they have their defaults: 0.1 wrote all of them down.

    Examples:
        >>> migrate({"visual": {"brightness": 1.5, "draws": 2}, "model": {"name": "lstm"}})
        {'visual': {}, 'model': {'name': 'lstm'}, 'training': {'augmentation': {'brightness': 1.5, 'versions': 2}}}
    """
    migrated, visual, training = dict(values), values.get("visual"), values.get("training") or {}
    try:
        model = MODELS[migrated["model"]["name"]].model_validate(migrated["model"])
    except (KeyError, TypeError, ValidationError):  # found again where the whole config is read
        return migrated
    if not isinstance(training, Mapping):
        return migrated
    if isinstance(visual, Mapping) and EXTRACTORS.get(str(visual.get("extractor")), ImageConfig) is ImageConfig:
        training = {**training, **_augmentation(visual, training.get("augmentation"), model)}
        migrated["visual"] = {key: value for key, value in visual.items() if key not in ("brightness", "draws")}
    section = model.training_section
    training = {key: value for key, value in training.items() if key in section.model_fields or _acts({key: value})}
    regularization = training.get("regularization")
    if isinstance(regularization, Mapping) and not issubclass(section, HeadTraining):
        read = {key: value for key, value in regularization.items() if _acts({"regularization": {key: value}})}
        training["regularization"] = read
    return {**migrated, "training": training}


def _augmentation(visual: Mapping[str, Any], given: Any, model: ModelConfig) -> dict[str, Any]:
    """Return the setting that brightness and draws of the section ``visual`` become; nothing of one without them."""
    old = {new: visual[key] for key, new in (("brightness", "brightness"), ("draws", "versions")) if key in visual}
    if not old:
        return {}
    none = old.get("brightness", 1) is None
    if old.get("versions") == 0:
        del old["versions"]  # a backbone that learns has a brightness alone
        none = none or not (isinstance(model, HeadConfig) and model.finetune)
    return {"augmentation": None if none else {**(given or {}), **old}}


def _acts(training: Mapping[str, Any]) -> bool:
    """Tell whether settings are other than the defaults, in the training of heads and of video models."""
    for section in (EmbeddingTraining, VideoTraining):
        with suppress(ValidationError):
            if section.model_validate(training) == section():
                return False
    return True
