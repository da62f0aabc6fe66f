"""Learning with a neural head: the model, its data, the loop over them, and predictions with the best weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from eri.config import ExperimentConfig, HeadConfig, ImageConfig, LightGBMConfig, VideoModelFields
from eri.metrics.intensities import Floats
from eri.models import Regressor, Standardizer
from eri.models.image_encoder import PictureEncoder
from eri.models.sequences import Sequences
from eri.training import run_folder as layout
from eri.training.augmentation import HeadPass, TrainingPass
from eri.training.checkpoint import load_weights
from eri.training.data import SplitData
from eri.training.epochs import EpochLearner, create_material
from eri.training.features import FeatureSet, ModalityFeatures
from eri.training.inference import predict_clips
from eri.training.keeping import kept
from eri.training.learners import Lesson
from eri.training.loading import DrawingLoader, EpochSource, Loader
from eri.training.loop import Material
from eri.training.run_folder import Run

_BLOCK = 2048


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
    from eri.models.backbones import create_backbone  # imports timm, which only this needs

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


class NeuralLearner(EpochLearner):
    """Trains a head of :mod:`eri.models` over embeddings, with its backbone where that is fine-tuned."""

    def prepare(self, lesson: Lesson, *, fresh: bool) -> tuple[TrainingPass, Material]:
        """See :meth:`EpochLearner.prepare`; what a model starts from is its standardisation and its backbone."""
        model = create_model(lesson, measured=fresh)
        settings = lesson.config.training
        load = partial(Loader, batch_size=settings.batch_size, chunk=settings.chunk, device=lesson.device)
        train: EpochSource = load(lesson.train.features, lesson.train.usable_ids)
        if lesson.versions:
            draw = partial(DrawingLoader, batch_size=settings.batch_size, chunk=settings.chunk, device=lesson.device)
            train = draw(lesson.train.features, lesson.versions, lesson.train.usable_ids, seed=settings.seed)
        val = load(lesson.val.features, lesson.val.usable_ids)
        return HeadPass(model, settings.regularization), create_material(lesson, train, val)

    def predict(self, run: Run, features: FeatureSet, ids: Sequence[str], device: torch.device) -> Floats:
        """See :meth:`~eri.training.learners.Learner.predict`."""
        model = kept(run.path, lambda: load_model(run, features.dimensions).to(device))
        settings = run.config.training
        loader = Loader(features, ids, batch_size=settings.batch_size, chunk=settings.chunk, device=device)
        return predict_clips(model, loader)


def create_model(lesson: Lesson, *, measured: bool = True) -> Regressor:
    """Build a model.

    Args:
        lesson: The data and settings.
        measured: Fit the standardisation to the train clips; without, a saved state is to bring it.
    """
    data, settings = lesson.train, lesson.config.training
    encoders = create_encoders(lesson.config, filled=measured)
    model = Regressor(
        head_of(lesson.config), data.features.dimensions, lesson.task, settings.activation, settings.center, encoders
    )
    if not (settings.standardize and measured):
        return model
    for modality, standardizer in model.standardizers.items():
        centered = modality in settings.center
        if modality in encoders:
            statistics = measure_start(encoders[modality], data, modality, lesson.device, centered=centered)
        else:
            measure = fit_centered if centered else fit
            statistics = measure(data.features.modalities[modality], data.usable_ids)
        assert isinstance(standardizer, Standardizer)
        standardizer.set_statistics(*statistics)
    return model.cpu()


def head_of(config: ExperimentConfig) -> HeadConfig:
    """Return the head of a system whose model is one.

    Raises:
        TypeError: Its model is no neural head.
    """
    if isinstance(config.model, LightGBMConfig | VideoModelFields):
        raise TypeError(f"{config.name}: {config.model.name} is no head")
    return config.model


def load_model(run: Run, dimensions: Mapping[str, int]) -> Regressor:
    """Return a run's model with its best weights, on the CPU.

    Args:
        run: The run.
        dimensions: Length of one cached embedding by modality; must be what the run was trained on.

    Raises:
        RunError: There are no weights, or they are of another model.
    """
    settings = run.config.training
    encoders = create_encoders(run.config, filled=False)
    model = Regressor(head_of(run.config), dimensions, run.task, settings.activation, settings.center, encoders)
    load_weights(run.path / layout.WEIGHTS, model)
    return model.eval()
