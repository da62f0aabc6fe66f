"""Mean and deviation of the train features, measured block by block; and the encoders whose embeddings are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from eri.config import ExperimentConfig, HeadTraining, ImageConfig
from eri.models.image_encoder import PictureEncoder
from eri.models.sequences import Sequences
from eri.training.data import SplitData
from eri.training.features import ModalityFeatures

_BLOCK = 2048

Report = Callable[[int, int], None]
"""Called with what is done so far, and all there is to do."""


def fit_centered(features: ModalityFeatures, ids: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure each feature over the valid rows of clips after each clip has lost its own mean.

    Args:
        features: To read from.
        ids: The train clips.

    Returns:
        Mean, which is 0, and (population) deviation within clips, float64 (dimension,) each; 0 and 1 when there is no
        row.

    Examples:
        >>> rows = np.array([[1.0], [3.0], [7.0], [9.0]], dtype=np.float32)
        >>> packed = ModalityFeatures.from_arrays(rows, np.array([0, 2, 4]), np.zeros(4, np.uint8), ["a", "b"])
        >>> [values.tolist() for values in fit_centered(packed, ["a", "b"])]
        [[0.0], [1.0]]
    """
    count, squares = 0, np.zeros(features.dimension)
    for clip_id in sorted(ids):
        clip = features.take(np.sort(features.rows_of([clip_id])[0])).astype(np.float64)
        if len(clip):
            squares += ((clip - clip.mean(axis=0)) ** 2).sum(axis=0)
            count += len(clip)
    return np.zeros(features.dimension), np.sqrt(squares / count) if count else np.ones(features.dimension)


def fit(features: ModalityFeatures, ids: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure each feature over the valid rows of clips.

    Blocks of fixed size are merged (Chan, Golub & LeVeque 1979), so memory is bounded, a large mean does not cancel the
    deviation, and the figures are the same whether the features are in memory or mapped.

    Args:
        features: To read from.
        ids: The train clips; every valid row counts the same, whichever clip it is of.

    Returns:
        Mean and (population) deviation, float64 (dimension,) each; 0 and 1 when there is no row.

    Examples:
        >>> rows = np.array([[1.0], [3.0], [99.0]], dtype=np.float32)
        >>> packed = ModalityFeatures.from_arrays(rows, np.array([0, 3]), np.array([0, 0, 1], np.uint8), ["a"])
        >>> [values.tolist() for values in fit(packed, ["a"])]
        [[2.0], [1.0]]
    """
    rows = np.sort(features.rows_of(ids)[0])
    return merge(
        (features.take(rows[start : start + _BLOCK]) for start in range(0, len(rows), _BLOCK)),
        features.dimension,
    )


def merge(blocks: Iterable[NDArray[np.float32]], dimension: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure each feature over blocks of rows, (rows, dimension) each, as :func:`fit` does."""
    count, mean, squares = 0, np.zeros(dimension), np.zeros(dimension)
    for rows in blocks:
        block = rows.astype(np.float64)
        size = len(block)
        if size == 0:
            continue
        own = block.mean(axis=0)
        shift = own - mean
        squares += ((block - own) ** 2).sum(axis=0) + shift**2 * (count * size / (count + size))
        count += size
        mean += shift * (size / count)
    return mean, np.sqrt(squares / count) if count else np.ones(dimension)


_CLIPS_AT_ONCE = 8


def create_encoders(config: ExperimentConfig, *, filled: bool = True) -> dict[str, PictureEncoder]:
    """Return the image encoders of a system that fine-tunes its backbone, by modality; none of any other system.

    Args:
        config: The system.
        filled: Load the weights that the config asks for; without, the network only, for a run's own weights.

    Raises:
        ConfigError: No model has that name, or it does not take images of that size.
        WeightsError: Weights are nowhere to be found, damaged, or of another model.
    """
    visual = config.visual
    if config.finetune is None or not isinstance(visual, ImageConfig):
        return {}
    from eri.models.backbones import create_backbone  # imports timm, which only this needs

    augmentation = config.training_of(HeadTraining).augmentation
    brightness = None if augmentation is None else augmentation.brightness
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
            backbone.model, backbone.dimension, backbone.mean, backbone.std, config.finetune, brightness
        )
    }


def measure_start(
    encoder: PictureEncoder, data: SplitData, modality: str, device: torch.device, report: Report, *, centered: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure the embeddings of the train clips before the backbone has learnt anything.

    Args:
        encoder: With its first weights.
        data: The train clips.
        modality: Which of their images.
        device: Where to compute.
        report: Called with the clips that were measured so far, and all.
        centered: After each clip has lost its own mean.

    Returns:
        Mean (0 where centred) and (population) deviation, float64 (dimension,) each.
    """
    encoder = encoder.to(device).eval()
    return merge(_embedded(encoder, data, modality, device, report, centered=centered), encoder.dimension)


def _embedded(
    encoder: PictureEncoder, data: SplitData, modality: str, device: torch.device, report: Report, *, centered: bool
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
        report(min(first + _CLIPS_AT_ONCE, len(ids)), len(ids))
