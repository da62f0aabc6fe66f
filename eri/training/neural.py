"""Learning with a neural head: the model, its data, the loop over them, and predictions with the best weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from eri.config import ExperimentConfig, HeadConfig, LightGBMConfig
from eri.metrics import Floats
from eri.models import Regressor, Standardizer
from eri.training import runs as layout
from eri.training.checkpoint import load_weights, seed_generators, weights_metadata
from eri.training.data import fallback_vector, label_means
from eri.training.device import create_fabric
from eri.training.drawing import DrawingLoader
from eri.training.events import Listener
from eri.training.features import FeatureSet
from eri.training.finetuning import create_encoders, measure_start
from eri.training.inference import predict_clips
from eri.training.learners import Lesson
from eri.training.loading import Loader
from eri.training.loop import Material, Trainer
from eri.training.objective import create_objective
from eri.training.runs import Run
from eri.training.selection import Best
from eri.training.standardization import fit, fit_centered


class NeuralLearner:
    """A head of :mod:`eri.models`, trained epoch by epoch; the best epoch's weights predict."""

    def learn(self, lesson: Lesson, folder: Path, on_event: Listener) -> Best:
        """See :meth:`~eri.training.learners.Learner.learn`; goes on after the last whole epoch."""
        settings = lesson.config.training
        seed_generators(settings.seed)
        resumed = (folder / layout.STATE).is_file()
        model = create_model(lesson, measured=not resumed)
        fabric = create_fabric(lesson.device, lesson.precision)
        trainer = Trainer(settings, model, create_material(lesson), folder, fabric, on_event)
        if resumed:
            trainer.resume()
        return trainer.run().best

    def predict(self, run: Run, features: FeatureSet, ids: Sequence[str], device: torch.device) -> Floats:
        """See :meth:`~eri.training.learners.Learner.predict`."""
        model = load_model(run, features.dimensions).to(device)
        settings = run.config.training
        loader = Loader(features, ids, batch_size=settings.batch_size, chunk=settings.chunk, device=device)
        return predict_clips(model, loader)

    def chosen(self, run: Run) -> int:
        """Return the best epoch, counted from 1."""
        return int(weights_metadata(run.path / layout.WEIGHTS)["epoch"])


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
    if isinstance(config.model, LightGBMConfig):
        raise TypeError(f"{config.name}: boosted trees are no head")
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


def create_material(lesson: Lesson) -> Material:
    """Lay out the clips of a lesson for the loop."""
    settings, names, labels = lesson.config.training, lesson.task.labels, lesson.train_labels
    load = partial(Loader, batch_size=settings.batch_size, chunk=settings.chunk, device=lesson.device)
    train: Loader | DrawingLoader = load(lesson.train.features, lesson.train.usable_ids)
    if lesson.versions:
        draw = partial(DrawingLoader, batch_size=settings.batch_size, chunk=settings.chunk, device=lesson.device)
        train = draw(lesson.train.features, lesson.versions, lesson.train.usable_ids, seed=settings.seed)
    return Material(
        train=train,
        train_labels=labels,
        val=load(lesson.val.features, lesson.val.usable_ids),
        val_labels=lesson.val.labels,
        val_usable=lesson.val.usable,
        fallback=fallback_vector(label_means(lesson.train, names), names),
        scorer=lesson.scorer,
        objective=create_objective(settings.loss, lesson.task, labels),
    )
