"""Small video models and clips of pictures for tests."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from eri.config import MODELS, VideoModelConfig
from eri.models.video import VideoModel, create_video_model

CLASSES = tuple(model for model in MODELS.values() if issubclass(model, VideoModelConfig))
"""The config class of every registered video model."""

NAMES: tuple[str, ...] = tuple(str(item.model_fields["name"].default) for item in CLASSES)


_SMALL: dict[str, dict[str, Any]] = {
    "c3d": {"dense": 32},
    "cnn3d": {"filters": (4, 8, 8, 8, 8), "dense": (16, 16)},
    "ceflnet": {"backbone": "resnet10t", "sub_videos": 3, "activation_channels": (8,)},
}
"""Settings that make a model small beside those that several models have."""


def small_config(name: str, **settings: Any) -> VideoModelConfig:
    """Return a model's config for pictures of 32 pixels, untrained, with as few frames as it takes from 4 on."""
    fields = CLASSES[NAMES.index(name)].model_fields
    values: dict[str, Any] = {"name": name, "input_size": 32, "seed": 3, **_SMALL.get(name, {}), **settings}
    if "weights" in fields:
        values.setdefault("weights", "random")
    if "hidden_size" in fields:
        values.setdefault("hidden_size", 16)
    for frames in range(4, 64):
        try:
            return CLASSES[NAMES.index(name)].model_validate({"frames": frames, **values})
        except ValidationError:
            continue
    raise AssertionError(f"no small {name} could be made of {values}")


def small_model(name: str, outputs: int = 3, **settings: Any) -> VideoModel:
    """Build what :func:`small_config` describes."""
    return create_video_model(small_config(name, **settings), outputs)


def draw_clips(model: VideoModel, clips: int = 2, seed: int = 0) -> Tensor:
    """Return clips of noise that a model can read."""
    shape = (clips, model.frames, 3, model.side, model.side)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
