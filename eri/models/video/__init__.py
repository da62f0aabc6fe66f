"""Networks that read the face crops of a clip themselves. Each is known by the name of its config.

Importing this package imports none of them, so that a command that needs one model does not pay for all.
"""

from __future__ import annotations

import torch

from eri.config.video import C3DConfig, C3DLSTMConfig, CEFLNetConfig, CNN3DConfig, R2Plus1DConfig, VideoModelConfig
from eri.models.video.base import PublishedCost, VideoModel, VideoOutput

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


def _build(config: VideoModelConfig, outputs: int) -> VideoModel:
    """Find a config's class. A new model is added here and to the union in :mod:`eri.config.video`."""
    match config:
        case R2Plus1DConfig():
            from eri.models.video.r2plus1d import R2Plus1DModel

            return R2Plus1DModel(config, outputs)
        case C3DConfig():
            from eri.models.video.c3d import C3DModel

            return C3DModel(config, outputs)
        case C3DLSTMConfig():
            from eri.models.video.c3d import C3DLSTMModel

            return C3DLSTMModel(config, outputs)
        case CNN3DConfig():
            from eri.models.video.cnn3d import CNN3D

            return CNN3D(config, outputs)
        case CEFLNetConfig():
            from eri.models.video.ceflnet import CEFLNet

            return CEFLNet(config, outputs)
