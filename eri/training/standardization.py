"""Mean and deviation of the train features, measured block by block; and the encoders whose embeddings are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from eri.config import ExperimentConfig, HeadTraining, ImageConfig
from eri.metrics.intensities import Floats
from eri.models.image_encoder import ImageEncoder
from eri.models.sequences import Sequences
from eri.training.data import SplitData
from eri.training.features import ModalityFeatures

_BLOCK = 2048
_CLIPS_AT_ONCE = 8

Report = Callable[[int, int], None]
"""Called with what is done so far, and all there is to do."""

Statistics = tuple[Floats, Floats]
"""Mean and (population) deviation, (dimension,) each; 0 and 1 when there is no row."""


def fit_centered(features: ModalityFeatures, ids: Sequence[str]) -> Statistics:
    """Measure each feature over the valid rows of clips after each clip has lost its own mean, so the mean is 0.

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


def fit(features: ModalityFeatures, ids: Sequence[str]) -> Statistics:
    """Measure each feature over the valid rows of clips; every row counts the same, whichever clip it is of.

    Blocks of fixed size are merged (Chan, Golub & LeVeque 1979), so memory is bounded, a large mean does not cancel the
    deviation, and the numbers are the same whether the features are in memory or mapped.

    >>> rows = np.array([[1.0], [3.0], [99.0]], dtype=np.float32)
    >>> packed = ModalityFeatures.from_arrays(rows, np.array([0, 3]), np.array([0, 0, 1], np.uint8), ["a"])
    >>> [values.tolist() for values in fit(packed, ["a"])]
    [[2.0], [1.0]]
    """
    rows = np.sort(features.rows_of(ids)[0])
    blocks = (features.take(rows[start : start + _BLOCK]) for start in range(0, len(rows), _BLOCK))
    return _merge(blocks, features.dimension)


def _merge(blocks: Iterable[NDArray[np.float32]], dimension: int) -> Statistics:
    """Measure each feature over blocks of at least one row, (rows, dimension) each."""
    count, mean, squares = 0, np.zeros(dimension), np.zeros(dimension)
    for rows in blocks:
        block = rows.astype(np.float64)
        size = len(block)
        own = block.mean(axis=0)
        shift = own - mean
        squares += ((block - own) ** 2).sum(axis=0) + shift**2 * (count * size / (count + size))
        count += size
        mean += shift * (size / count)
    return mean, np.sqrt(squares / count) if count else np.ones(dimension)


def create_encoders(config: ExperimentConfig, *, filled: bool = True) -> dict[str, ImageEncoder]:
    """Return the image encoders of a system that fine-tunes its backbone, by modality; none of any other system.

    ``filled`` loads the weights that the config asks for; without, a run's own are to come. Raises ConfigError where no
    model has that name or takes images of that size, and WeightsError where weights are missing or do not fit.
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
    encoder = ImageEncoder(backbone.model, backbone.dimension, backbone.mean, backbone.std, config.finetune, brightness)
    return {"visual": encoder}


def measure_start(
    encoder: ImageEncoder, data: SplitData, modality: str, device: torch.device, report: Report, *, centered: bool
) -> Statistics:
    """Measure the embeddings of the train clips before the backbone has learnt anything.

    ``centered`` takes its own mean from each clip first; then the mean is 0.
    """
    encoder, ids = encoder.to(device).eval(), data.usable_ids

    def embedded() -> Iterator[NDArray[np.float32]]:
        for first in range(0, len(ids), _CLIPS_AT_ONCE):
            frames, counts, _ = data.features.sources[modality].read(ids[first : first + _CLIPS_AT_ONCE])
            whole = torch.from_numpy(frames)[None].to(device)
            with torch.inference_mode():
                rows = encoder(Sequences(whole, torch.ones(whole.shape[:2], dtype=torch.bool, device=device))).values
            for clip in np.split(rows[0].cpu().numpy(), np.cumsum(counts)[:-1]):
                if len(clip):
                    yield clip - clip.mean(axis=0) if centered else clip
            report(min(first + _CLIPS_AT_ONCE, len(ids)), len(ids))

    return _merge(embedded(), encoder.dimension)
