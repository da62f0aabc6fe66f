"""Extractors: loaded models that turn clips into features, one class a family of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eri.config import (
    CropsConfig,
    DeepSpectrumConfig,
    EGeMAPSConfig,
    ExtractorConfig,
    ImageConfig,
    ImportedConfig,
    LogMelConfig,
    MFCCConfig,
    Runtime,
    VideoConfig,
)
from eri.utils.errors import ConfigError

if TYPE_CHECKING:
    from eri.features.records import Extractor

__all__ = ["create_extractor"]


def create_extractor(config: ExtractorConfig, runtime: Runtime | None = None) -> Extractor:
    """Load the extractor that a config asks for.

    Args:
        config: Which model, with which preprocessing and sampling.
        runtime: Device and batch size; None takes the defaults. It does not change the numbers, beyond a cosine of
            0.9999 between embeddings of the same row.

    Raises:
        ConfigError: No model has that name, the settings do not fit it, or the features are imported ones.
        WeightsError: Weights are nowhere to be found, damaged, or of another model.
        RunError: The run whose model is asked for is incomplete.
        MissingDependencyError: The features need an optional package that is not installed.
    """
    runtime = runtime or Runtime()
    if isinstance(config, ImportedConfig):
        raise ConfigError(
            f"'{config.name}' are imported features: no model computes them",
            hint="Put them into the store with `eri features import`.",
        )
    if isinstance(config, ImageConfig):
        from eri.extraction.extractors.image import ImageExtractor

        return ImageExtractor(config, runtime)
    if isinstance(config, CropsConfig):
        from eri.extraction.extractors.crops import CropExtractor

        return CropExtractor(config, runtime)
    if isinstance(config, VideoConfig):
        from eri.runs.video_extractor import VideoExtractor  # stands after this package and is known by this name only

        return VideoExtractor(config, runtime)
    if isinstance(config, DeepSpectrumConfig):
        from eri.extraction.extractors.deepspectrum import DeepSpectrumExtractor

        return DeepSpectrumExtractor(config, runtime)
    if isinstance(config, MFCCConfig | LogMelConfig):
        from eri.extraction.extractors.mel import MelExtractor

        return MelExtractor(config, runtime)
    if isinstance(config, EGeMAPSConfig):
        from eri.extraction.extractors.egemaps import EGeMAPSExtractor

        return EGeMAPSExtractor(config, runtime)
    from eri.extraction.extractors.wav2vec2 import Wav2Vec2Extractor

    return Wav2Vec2Extractor(config, runtime)
