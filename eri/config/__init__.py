"""Typed configuration: what an experiment is, as YAML in ``configs/`` and as Python objects.

Unknown keys are refused, contradictions are refused with the way out. Knobs that must not change the numbers
(device, batch size, workers) are in :class:`Runtime`, not in a config.
"""

from eri.config.experiment import ExperimentConfig, Published, TrainingConfig
from eri.config.features import (
    ORGANISERS_FEATURES,
    AudioConfig,
    DeepSpectrumConfig,
    ExtractorConfig,
    FaceConfig,
    ImageConfig,
    ImportedConfig,
    Modality,
    Precision,
    VisualConfig,
    Wav2Vec2Config,
)
from eri.config.loading import config_names, describe_misfits, load_config, parse_config, read_yaml
from eri.config.models import BaselineLSTMConfig, FusionLSTMConfig, LSTMConfig, ModelConfig
from eri.config.runtime import Runtime
from eri.config.strict import Strict

__all__ = [
    "ORGANISERS_FEATURES",
    "AudioConfig",
    "BaselineLSTMConfig",
    "DeepSpectrumConfig",
    "ExperimentConfig",
    "ExtractorConfig",
    "FaceConfig",
    "FusionLSTMConfig",
    "ImageConfig",
    "ImportedConfig",
    "LSTMConfig",
    "Modality",
    "ModelConfig",
    "Precision",
    "Published",
    "Runtime",
    "Strict",
    "TrainingConfig",
    "VisualConfig",
    "Wav2Vec2Config",
    "config_names",
    "describe_misfits",
    "load_config",
    "parse_config",
    "read_yaml",
]
