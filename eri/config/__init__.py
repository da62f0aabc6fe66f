"""Typed configuration: what an experiment is, as YAML in ``configs/`` and as Python objects.

Unknown keys are refused, contradictions are refused with the way out. Knobs that must not change the numbers
(device, batch size, workers) are in :class:`Runtime`, not in a config.
"""

from eri.config.acoustic import EGeMAPSConfig, LogMelConfig, MFCCConfig
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
from eri.config.experiment import CORRELATED_CLIPS, ExperimentConfig, Published, TrainingConfig
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
    VisualConfig,
    Wav2Vec2Config,
)
from eri.config.finetuning import FinetuneConfig
from eri.config.fusion import ConcatenationConfig, CrossAttentionConfig, FusionBase, GatedConfig, LateConfig
from eri.config.loading import config_names, describe_misfits, load_config, parse_config, read_yaml
from eri.config.losses import LossConfig
from eri.config.models import BaselineLSTMConfig, FusionLSTMConfig, HeadConfig, ModelConfig, head_names
from eri.config.regularization import RegularizationConfig
from eri.config.runtime import Runtime
from eri.config.strict import Strict
from eri.config.trees import FUNCTIONALS, Functional, LightGBMConfig

__all__ = [
    "CORRELATED_CLIPS",
    "FUNCTIONALS",
    "ORGANISERS_FEATURES",
    "AttentionPoolingConfig",
    "AudioConfig",
    "BaselineLSTMConfig",
    "BiLSTMConfig",
    "ConcatenationConfig",
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
    "RegularizationConfig",
    "Runtime",
    "Strict",
    "TCNConfig",
    "TCNTransformerConfig",
    "TrainingConfig",
    "TransformerConfig",
    "VisualConfig",
    "Wav2Vec2Config",
    "config_names",
    "describe_misfits",
    "head_names",
    "load_config",
    "parse_config",
    "read_yaml",
]
