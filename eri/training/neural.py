"""Learning with a neural head: the model, its data, the loop over them, and predictions with the best weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch

from eri.config import ExperimentConfig, HeadConfig, LightGBMConfig, VideoModelFields
from eri.metrics import Floats
from eri.models import Regressor, Standardizer
from eri.training import runs as layout
from eri.training.augmentation import HeadPass, TrainingPass
from eri.training.checkpoint import load_weights
from eri.training.drawing import DrawingLoader
from eri.training.epochs import EpochLearner, create_material
from eri.training.features import FeatureSet
from eri.training.finetuning import create_encoders, measure_start
from eri.training.inference import predict_clips
from eri.training.keeping import kept
from eri.training.learners import Lesson
from eri.training.loading import EpochSource, Loader
from eri.training.loop import Material
from eri.training.runs import Run
from eri.training.standardization import fit, fit_centered


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
