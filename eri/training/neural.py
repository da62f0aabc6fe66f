"""Neural networks trained epoch by epoch: heads over cached features, and video models over face crops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from eri.config import ExperimentConfig, GradientTraining, HeadConfig, HeadTraining, VideoModelConfig, VideoTraining
from eri.config.tasks import Task
from eri.features.crops import CachedCrops
from eri.metrics.intensities import Floats
from eri.models import Predictor, Regressor, Standardizer
from eri.models.image_encoder import ImageEncoder
from eri.models.video import create_video_model
from eri.models.video.regressor import VideoRegressor
from eri.training import run_folder as layout
from eri.training.augmentation import HeadPass, Mixing, TrainingPass
from eri.training.balancing import Change, Sample, lay_out
from eri.training.checkpoint import load_weights, seed_generators, weights_metadata
from eri.training.data import TrainingInputs
from eri.training.events import Best, Listener, TrainingEvent
from eri.training.features import FeatureSet, RowSource
from eri.training.loading import BatchSource, ClipLoader, Loader, predict_clips
from eri.training.loop import TrainData, Trainer
from eri.training.processes import create_fabric, cut_batches
from eri.training.run_folder import Run
from eri.training.standardization import Report, create_encoders, fit, fit_centered, measure_start
from eri.utils.errors import ConfigError, RunError


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network on its device, and what serves it clips."""

    model: Predictor
    batch_size: int
    serve: Callable[[FeatureSet, Sequence[str]], BatchSource]

    def predict(self, features: FeatureSet, ids: Sequence[str]) -> Floats:
        """See :meth:`~eri.training.learners.TrainedModel.predict`."""
        batches = cut_batches(np.arange(len(ids)), self.batch_size)
        return predict_clips(self.model, self.serve(features, ids), batches)


class NeuralLearner(ABC):
    """Trains a network epoch by epoch; the best epoch's weights predict."""

    def learn(self, inputs: TrainingInputs, folder: Path, on_event: Listener) -> Best:
        """See :meth:`~eri.training.learners.Learner.learn`; goes on from the last state that was saved."""
        settings = inputs.config.training_of(GradientTraining)
        seed_generators(settings.seed)
        resumed = (folder / layout.STATE).is_file()

        def report(done: int, clips: int) -> None:
            on_event(TrainingEvent("prepare", folder.name, 0, settings.epochs, batch=done, batches=clips))

        training_pass, data = self.prepare(inputs, report, fresh=not resumed)
        fabric = inputs.fabric or create_fabric(inputs.device, inputs.precision)
        trainer = Trainer(inputs, training_pass, data, folder, fabric, on_event)
        if resumed:
            trainer.resume()
        return trainer.run().best

    @abstractmethod
    def prepare(self, inputs: TrainingInputs, report: Report, *, fresh: bool) -> tuple[TrainingPass, TrainData]:
        """Build the model and lay out the clips.

        ``report`` is called with the clips that were measured so far, and all. A model that is not ``fresh`` gets
        nothing to start from: a saved state is to bring it.
        """

    @abstractmethod
    def load(self, run: Run, device: torch.device) -> TrainedNetwork:
        """See :meth:`~eri.training.learners.Learner.load`."""

    def chosen(self, run: Run) -> int:
        """Return the best epoch, counted from 1."""
        return int(weights_metadata(run.path / layout.WEIGHTS)["epoch"])


class HeadLearner(NeuralLearner):
    """Trains a head of :mod:`eri.models` over embeddings, with its backbone where that is fine-tuned."""

    def prepare(self, inputs: TrainingInputs, report: Report, *, fresh: bool) -> tuple[TrainingPass, TrainData]:
        """See :meth:`NeuralLearner.prepare`; what a model starts from is its standardisation and its backbone."""
        settings = inputs.config.training_of(HeadTraining)
        encoders = create_encoders(inputs.config, filled=fresh)
        model = _create_regressor(inputs.config, inputs.task, inputs.train.features.dimensions, encoders)
        if settings.standardize and fresh:
            _standardize(model, inputs, encoders, report)
        load = partial(Loader, batch_size=settings.batch_size, chunk=settings.chunk, device=inputs.device)
        train = load(inputs.train.features, inputs.train.usable_ids, versions=inputs.versions, seed=settings.seed)
        val = load(inputs.val.features, inputs.val.usable_ids)
        return HeadPass(model, settings.regularization), TrainData(train, inputs.train_labels, val)

    def load(self, run: Run, device: torch.device) -> TrainedNetwork:
        """See :meth:`~eri.training.learners.Learner.load`."""
        settings = run.config.training_of(HeadTraining)
        serve = partial(Loader, batch_size=settings.batch_size, chunk=settings.chunk, device=device)
        model = load_model(run, run.environment["dimensions"]).to(device)
        return TrainedNetwork(model, settings.batch_size, serve)


def _create_regressor(
    config: ExperimentConfig, task: Task, dimensions: Mapping[str, int], encoders: Mapping[str, ImageEncoder]
) -> Regressor:
    settings = config.training_of(HeadTraining)
    assert isinstance(config.model, HeadConfig)
    return Regressor(config.model, dimensions, task, settings.activation, settings.center, encoders)


def _standardize(
    model: Regressor, inputs: TrainingInputs, encoders: Mapping[str, ImageEncoder], report: Report
) -> None:
    """Fit the standardisation of a model to the train clips."""
    data = inputs.train
    for modality, standardizer in model.standardizers.items():
        centered = modality in inputs.config.training_of(HeadTraining).center
        if modality in encoders:
            statistics = measure_start(encoders[modality], data, modality, inputs.device, report, centered=centered)
        else:
            measure = fit_centered if centered else fit
            statistics = measure(data.features.modalities[modality], data.usable_ids)
        assert isinstance(standardizer, Standardizer)
        standardizer.set_statistics(*statistics)
    model.cpu()


def load_model(run: Run, dimensions: Mapping[str, int]) -> Regressor:
    """Return a run's head with its best weights, on the CPU; ``dimensions`` of embeddings are those it was trained on.

    Raises RunError where there are no weights, or they are of another model.
    """
    model = _create_regressor(run.config, run.task, dimensions, create_encoders(run.config, filled=False))
    load_weights(run.path / layout.WEIGHTS, model)
    return model.eval()


class VideoPass(TrainingPass):
    """A pass through a video model, with the loss that it brings itself."""

    def forward(self, inputs: Tensor, mixing: Mixing | None, targets: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """See :meth:`TrainingPass.forward`; clips of images are not mixed."""
        model = self.model
        assert isinstance(model, VideoRegressor)
        predictions, output = model(inputs)
        return predictions, output.raw, model.network.auxiliary_loss(output, targets)


class VideoLearner(NeuralLearner):
    """Trains a model of :mod:`eri.models.video` end to end on cached face crops."""

    def prepare(self, inputs: TrainingInputs, report: Report, *, fresh: bool) -> tuple[TrainingPass, TrainData]:
        """See :meth:`NeuralLearner.prepare`; what a model starts from is its backbone's weights."""
        config, settings = inputs.config, inputs.config.training_of(VideoTraining)
        model = create_video_regressor(config, inputs.task, filled=fresh)
        serve = partial(ClipLoader, network=model.network, device=inputs.device)
        ids, samples = inputs.train.usable_ids, _samples(inputs)
        positions = [sample.position for sample in samples]
        train = serve(
            crops_of(inputs.train.features.sources),
            tuple(ids[position] for position in positions),
            changes=tuple(sample.change for sample in samples) if settings.balancing is not None else None,
            augmentation=settings.augmentation,
            seed=settings.seed,
        )
        val = serve(crops_of(inputs.val.features.sources), inputs.val.usable_ids)
        return VideoPass(model), TrainData(train, inputs.train_labels[positions], val)

    def load(self, run: Run, device: torch.device) -> TrainedNetwork:
        """See :meth:`~eri.training.learners.Learner.load`."""
        model = load_video_model(run).to(device)

        def serve(features: FeatureSet, ids: Sequence[str]) -> BatchSource:
            return ClipLoader(crops_of(features.sources), tuple(ids), model.network, device)

        return TrainedNetwork(model, run.config.training_of(VideoTraining).batch_size, serve)


def create_video_regressor(config: ExperimentConfig, task: Task, *, filled: bool = True) -> VideoRegressor:
    """Build a system's video model; without ``filled``, the weights of its backbone are to come from a run.

    Raises WeightsError where weights are nowhere to be found, damaged, or of another model.
    """
    model = video_model_of(config)
    if not filled and "weights" in type(model).model_fields:
        model = model.model_copy(update={"weights": "random"})
    activation = config.training_of(VideoTraining).activation
    return VideoRegressor(create_video_model(model, len(task.labels)), task, activation)


def video_model_of(config: ExperimentConfig) -> VideoModelConfig:
    """Return the video model of a system; ConfigError where its model reads embeddings."""
    if not isinstance(config.model, VideoModelConfig):
        raise ConfigError(
            f"'{config.name}' reads cached embeddings, it has no video model",
            hint="Take a system or a run whose model reads face crops, such as ceflnet.",
        )
    return config.model


def load_video_model(run: Run) -> VideoRegressor:
    """Return a run's video model with its best weights, on the CPU.

    Raises ConfigError where the run's model reads embeddings, and RunError where weights are missing or do not fit.
    """
    model = create_video_regressor(run.config, run.task, filled=False)
    load_weights(run.path / layout.WEIGHTS, model)
    return model.eval()


def crops_of(sources: Mapping[str, RowSource]) -> CachedCrops:
    """Return the face crops among the sources of a split; RunError where they are embeddings."""
    crops = sources["visual"]
    if not isinstance(crops, CachedCrops):
        raise RunError(
            "a video model reads face crops, but the features are embeddings",
            hint="Run `eri extract` with the run's config.yaml.",
        )
    return crops


def _samples(inputs: TrainingInputs) -> Sequence[Sample]:
    """List the usable train clips, with the copies that balance their classes."""
    balancing, ids = inputs.config.training_of(VideoTraining).balancing, inputs.train.usable_ids
    if balancing is None:
        return [Sample(position, Change()) for position in range(len(ids))]
    strongest = inputs.train.labels[inputs.train.usable].argmax(axis=1)
    classes = [inputs.task.labels[index] for index in strongest]
    return lay_out(ids, classes, balancing, inputs.config.training.seed)
