"""Networks that read the face crops of a clip themselves. Each is known by the name of its config.

Importing this package imports none of them, so that a command that needs one model does not pay for all.
"""

from __future__ import annotations

from functools import singledispatch

import torch

from eri.config.video import C3DConfig, C3DLSTMConfig, CEFLNetConfig, CNN3DConfig, R2Plus1DConfig, VideoModelConfig
from eri.models.video.base import PublishedCost, VideoModel, VideoOutput
from eri.utils.errors import PluginError

__all__ = ["PublishedCost", "VideoModel", "VideoOutput", "create_video_model"]


def create_video_model(config: VideoModelConfig, outputs: int) -> VideoModel:
    """Build the video model that a config names.

    Args:
        config: Its name and sizes. Where it has a seed, untrained weights come from that alone.
        outputs: Number of labels: classes, or intensities.

    Raises:
        WeightsError: The weights of its backbone are nowhere to be found, damaged, or of another model.
    """
    if config.seed is None:
        return _build(config, outputs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return _build(config, outputs)


@singledispatch
def _build(config: VideoModelConfig, outputs: int) -> VideoModel:
    raise PluginError(f"{type(config).__name__}: no video model is registered for it")


@_build.register
def _(config: R2Plus1DConfig, outputs: int) -> VideoModel:
    from eri.models.video.r2plus1d import R2Plus1DModel

    return R2Plus1DModel(config, outputs)


@_build.register
def _(config: C3DConfig, outputs: int) -> VideoModel:
    from eri.models.video.c3d import C3DModel

    return C3DModel(config, outputs)


@_build.register
def _(config: C3DLSTMConfig, outputs: int) -> VideoModel:
    from eri.models.video.c3d import C3DLSTMModel

    return C3DLSTMModel(config, outputs)


@_build.register
def _(config: CNN3DConfig, outputs: int) -> VideoModel:
    from eri.models.video.cnn3d import CNN3D

    return CNN3D(config, outputs)


@_build.register
def _(config: CEFLNetConfig, outputs: int) -> VideoModel:
    from eri.models.video.ceflnet import CEFLNet

    return CEFLNet(config, outputs)
