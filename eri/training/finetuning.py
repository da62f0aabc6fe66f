"""Fine-tuning: the backbone of a system as part of its model, and the statistics of what it gives at the start."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from eri.config import ExperimentConfig, ImageConfig
from eri.models.pictures import PictureEncoder
from eri.models.sequences import Sequences
from eri.training.data import SplitData
from eri.training.standardization import merge

_CLIPS_AT_ONCE = 8


def create_encoders(config: ExperimentConfig, *, filled: bool = True) -> dict[str, PictureEncoder]:
    """Return the picture encoders of a system that fine-tunes its backbone, by modality; none of any other system.

    Args:
        config: The system.
        filled: Load the weights that the config asks for; without, the network only, for a run's own weights.

    Raises:
        ConfigError: No model has that name, or it does not take pictures of that size.
        WeightsError: Weights are nowhere to be found, damaged, or of another model.
    """
    visual = config.visual
    if config.finetune is None or not isinstance(visual, ImageConfig):
        return {}
    from eri.extractors.backbone import create_backbone  # imports timm, which only this needs

    backbone = create_backbone(
        visual.extractor,
        weights=visual.weights if filled else "random",
        seed=visual.seed,
        input_size=visual.input_size,
        precision="float32",
        device=torch.device("cpu"),
        option="visual.weights",
    )
    return {
        "visual": PictureEncoder(
            backbone.model, backbone.dimension, backbone.mean, backbone.std, config.finetune, visual.brightness
        )
    }


def measure_start(
    encoder: PictureEncoder, data: SplitData, modality: str, device: torch.device, *, centered: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure the embeddings of the train clips before the backbone has learnt anything.

    Args:
        encoder: With its first weights.
        data: The train clips.
        modality: Which of their pictures.
        device: Where to compute.
        centered: After each clip has lost its own mean.

    Returns:
        Mean (0 where centred) and (population) deviation, float64 (dimension,) each.
    """
    encoder = encoder.to(device).eval()
    return merge(_embedded(encoder, data, modality, device, centered=centered), encoder.dimension)


def _embedded(
    encoder: PictureEncoder, data: SplitData, modality: str, device: torch.device, *, centered: bool
) -> Iterator[NDArray[np.float32]]:
    ids = data.usable_ids
    for first in range(0, len(ids), _CLIPS_AT_ONCE):
        pictures, counts, _ = data.features.sources[modality].read(ids[first : first + _CLIPS_AT_ONCE])
        whole = torch.from_numpy(pictures)[None].to(device)
        with torch.inference_mode():
            rows = encoder(Sequences(whole, torch.ones(whole.shape[:2], dtype=torch.bool, device=device))).values[0]
        for clip in np.split(rows.cpu().numpy(), np.cumsum(counts)[:-1]):
            if len(clip):
                yield clip - clip.mean(axis=0) if centered else clip
