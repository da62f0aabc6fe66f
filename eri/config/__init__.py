"""Typed configuration: what an experiment is, as YAML in ``configs/`` and as Python objects.

Unknown keys are refused, contradictions are refused with the way out. Knobs that must not change the numbers
(device, batch size, workers) are in :class:`Runtime`, not in a config.
"""

from eri.config.acoustic import EGeMAPSConfig, LogMelConfig, MFCCConfig
from eri.config.balancing import BalancingConfig, Copies
from eri.config.clip_augmentation import ClipAugmentationConfig
from eri.config.encoders import (
    AttentionPoolingConfig,
    BiLSTMConfig,
    EncoderConfig,
    GRUConfig,
    GRUTransformerConfig,
    LSTMConfig,
    Pooling,
    TCNConfig,
    TCNTransformerConfig,
    TransformerConfig,
)
from eri.config.experiment import ExperimentConfig, Published
from eri.config.features import (
    ORGANISERS_FEATURES,
    AudioConfig,
    CropsConfig,
    DeepSpectrumConfig,
    DrawnImageConfig,
    ExtractorConfig,
    FaceConfig,
    ImageConfig,
    ImportedConfig,
    Modality,
    Precision,
    VideoConfig,
    VisualConfig,
    Wav2Vec2Config,
)
from eri.config.finetuning import FinetuneConfig
from eri.config.fusion import ConcatenationConfig, CrossAttentionConfig, FusionBase, GatedConfig, LateConfig
from eri.config.loading import (
    config_names,
    config_schema,
    describe_misfits,
    find_space,
    load_config,
    parse_config,
    read_yaml,
    space_names,
)
from eri.config.losses import LossConfig
from eri.config.models import BaselineLSTMConfig, FusionLSTMConfig, HeadConfig, ModelConfig, head_names
from eri.config.regularization import RegularizationConfig
from eri.config.runtime import Runtime
from eri.config.strict import Strict
from eri.config.training import CORRELATED_CLIPS, TrainingConfig
from eri.config.trees import FUNCTIONALS, Functional, LightGBMConfig
from eri.config.video import VideoModelConfig
from eri.config.video_base import VideoModelFields
from eri.config.video_c3d import C3DConfig, C3DLSTMConfig
from eri.config.video_ceflnet import CEFLNetConfig
from eri.config.video_cnn3d import CNN3DConfig
from eri.config.video_r2plus1d import R2Plus1DConfig

__all__ = [
    "CORRELATED_CLIPS",
    "FUNCTIONALS",
    "ORGANISERS_FEATURES",
    "AttentionPoolingConfig",
    "AudioConfig",
    "BalancingConfig",
    "BaselineLSTMConfig",
    "BiLSTMConfig",
    "C3DConfig",
    "C3DLSTMConfig",
    "CEFLNetConfig",
    "CNN3DConfig",
    "ClipAugmentationConfig",
    "ConcatenationConfig",
    "Copies",
    "CropsConfig",
    "CrossAttentionConfig",
    "DeepSpectrumConfig",
    "DrawnImageConfig",
    "EGeMAPSConfig",
    "EncoderConfig",
    "ExperimentConfig",
    "ExtractorConfig",
    "FaceConfig",
    "FinetuneConfig",
    "Functional",
    "FusionBase",
    "FusionLSTMConfig",
    "GRUConfig",
    "GRUTransformerConfig",
    "GatedConfig",
    "HeadConfig",
    "ImageConfig",
    "ImportedConfig",
    "LSTMConfig",
    "LateConfig",
    "LightGBMConfig",
    "LogMelConfig",
    "LossConfig",
    "MFCCConfig",
    "Modality",
    "ModelConfig",
    "Pooling",
    "Precision",
    "Published",
    "R2Plus1DConfig",
    "RegularizationConfig",
    "Runtime",
    "Strict",
    "TCNConfig",
    "TCNTransformerConfig",
    "TrainingConfig",
    "TransformerConfig",
    "VideoConfig",
    "VideoModelConfig",
    "VideoModelFields",
    "VisualConfig",
    "Wav2Vec2Config",
    "config_names",
    "config_schema",
    "describe_misfits",
    "find_space",
    "head_names",
    "load_config",
    "parse_config",
    "read_yaml",
    "space_names",
]
