"""Networks that read the face crops of a clip themselves. Each is known by the name of its config.

Importing this package imports none of them, so that a command that needs one model does not pay for all.
"""

from __future__ import annotations

from importlib import import_module

import torch

from eri.config.models import C3DConfig, C3DLSTMConfig, CEFLNetConfig, CNN3DConfig, R2Plus1DConfig, VideoModelConfig
from eri.models.video.base import PublishedCost, VideoModel, VideoOutput
from eri.utils.errors import PluginError

__all__ = ["PublishedCost", "VideoModel", "VideoOutput", "create_video_model"]

_MODELS: dict[type[VideoModelConfig], tuple[str, str]] = {
    R2Plus1DConfig: ("eri.models.video.r2plus1d", "R2Plus1DModel"),
    C3DConfig: ("eri.models.video.c3d", "C3DModel"),
    C3DLSTMConfig: ("eri.models.video.c3d", "C3DLSTMModel"),
    CNN3DConfig: ("eri.models.video.cnn3d", "CNN3D"),
    CEFLNetConfig: ("eri.models.video.ceflnet", "CEFLNet"),
}


def create_video_model(config: VideoModelConfig, outputs: int) -> VideoModel:
    """Build the video model that a config names, with one output per label.

    Where the config has a seed, untrained weights come from that alone. WeightsError where the weights of its backbone
    are nowhere to be found, damaged, or of another model.
    """
    if type(config) not in _MODELS:
        raise PluginError(f"{type(config).__name__}: no video model is registered for it")
    module, name = _MODELS[type(config)]
    kind = getattr(import_module(module), name)
    with torch.random.fork_rng(devices=[], enabled=config.seed is not None):
        if config.seed is not None:
            torch.manual_seed(config.seed)
        model: VideoModel = kind(config, outputs)
        return model
