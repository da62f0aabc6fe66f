"""Configs of version 0.1, in which some settings stood elsewhere, as those of now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from eri.config.extractors import EXTRACTORS, ImageConfig
from eri.config.models import MODELS, HeadConfig, ModelConfig
from eri.config.training import AveragingConfig, EmbeddingTraining, HeadTraining, VideoTraining


def migrate(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with its settings where they stand now; what does not fit stays, to be refused.

    ``visual.brightness`` and ``visual.draws`` become ``training.augmentation``. Settings of ``training`` that the model
    does not read are left out where they have their defaults: 0.1 wrote all of them down.

    Examples:
        >>> migrate({"visual": {"brightness": 1.5, "draws": 2}, "model": {"name": "lstm"}})
        {'visual': {}, 'model': {'name': 'lstm'}, 'training': {'augmentation': {'brightness': 1.5, 'versions': 2}}}
    """
    model = _read_model(values.get("model"))
    visual, training = values.get("visual"), values.get("training") or {}
    if model is None or not isinstance(training, Mapping):
        return dict(values)
    migrated = dict(values)
    if isinstance(visual, Mapping) and EXTRACTORS.get(str(visual.get("extractor")), ImageConfig) is ImageConfig:
        training = {**training, **_augmentation(visual, training.get("augmentation"), model)}
        migrated["visual"] = {key: value for key, value in visual.items() if key not in ("brightness", "draws")}
    section = model.training_section
    training = {
        key: value for key, value in training.items() if key in section.model_fields or not _is_default({key: value})
    }
    regularization = training.get("regularization")
    if isinstance(regularization, Mapping) and not issubclass(section, HeadTraining):
        training["regularization"] = {
            key: value
            for key, value in regularization.items()
            if key in AveragingConfig.model_fields or not _is_default({"regularization": {key: value}})
        }
    return {**migrated, "training": training}


def _read_model(values: Any) -> ModelConfig | None:
    """Return a system's model; None where it does not fit, which is found again where the whole config is read."""
    try:
        return MODELS[values["name"]].model_validate(values)
    except (KeyError, TypeError, ValidationError):
        return None


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


def _is_default(training: Mapping[str, Any]) -> bool:
    """Tell whether settings change nothing, in the training of heads or of video models."""
    for kind in (EmbeddingTraining, VideoTraining):
        try:
            if kind.model_validate(training) == kind():
                return True
        except ValidationError:
            continue
    return False
