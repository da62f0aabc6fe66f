"""All sections of video models in one union, told apart by their name."""

from __future__ import annotations

from eri.config.video_c3d import C3DConfig, C3DLSTMConfig
from eri.config.video_ceflnet import CEFLNetConfig
from eri.config.video_cnn3d import CNN3DConfig
from eri.config.video_r2plus1d import R2Plus1DConfig

VideoModelConfig = R2Plus1DConfig | C3DConfig | C3DLSTMConfig | CNN3DConfig | CEFLNetConfig
"""A network over face crops, see :mod:`eri.models.video`."""
