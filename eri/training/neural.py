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
from eri.models.video import create_video_model
from eri.models.video.regressor import VideoRegressor
from eri.training import run_folder as layout
from eri.training.augmentation import HeadPass, Mixing, TrainingPass
from eri.training.balancing import Change, Sample, lay_out
from eri.training.checkpoint import load_weights, seed_generators, weights_metadata
from eri.training.data import TrainingInputs
from eri.training.events import Best, Listener, TrainingEvent
from eri.training.features import FeatureSet, RowSource
from eri.training.inference import TrainedModel, predict_clips
from eri.training.loading import BatchSource, ClipLoader, Loader
from eri.training.loop import TrainData, Trainer
from eri.training.objective import create_objective
from eri.training.processes import create_fabric
from eri.training.run_folder import Run
from eri.training.standardization import Report, create_encoders, fit, fit_centered, measure_start
from eri.utils.errors import ConfigError, RunError


@dataclass(frozen=True, eq=False)
class _TrainedNetwork:
    """A network on its device, and what serves it clips."""

    model: Predictor
    serve: Callable[[FeatureSet, Sequence[str]], BatchSource]

    def predict(self, features: FeatureSet, ids: Sequence[str]) -> Floats:
        """See :meth:`~eri.training.learners.TrainedModel.predict`."""
        return predict_clips(self.model, self.serve(features, ids))


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
        trainer = Trainer(settings, training_pass, data, folder, fabric, on_event, inputs.rank)
        if resumed:
            trainer.resume()
        return trainer.run().best

    @abstractmethod
    def prepare(self, inputs: TrainingInputs, report: Report, *, fresh: bool) -> tuple[TrainingPass, TrainData]:
        """Build the model and lay out the clips.

        Args:
            inputs: The data and settings.
            report: Called with the clips that were measured so far, and all.
            fresh: Give the model what it starts from; without, a saved state is to bring it.
        """

    @abstractmethod
    def load(self, run: Run, device: torch.device) -> TrainedModel:
        """See :meth:`~eri.training.learners.Learner.load`."""

    def chosen(self, run: Run) -> int:
        """Return the best epoch, counted from 1."""
        return int(weights_metadata(run.path / layout.WEIGHTS)["epoch"])


def create_train_data(
    inputs: TrainingInputs, train: BatchSource, val: BatchSource, samples: Sequence[int] | None = None
) -> TrainData:
    """Lay out the clips for the loop.

    Args:
        inputs: The data and settings.
        train: Serves the train clips.
        val: Serves the val clips.
        samples: Index of the usable train clip behind each that ``train`` serves; None where it serves each once.
    """
    labels = inputs.train_labels
    if samples is not None:
        labels = labels[np.asarray(samples, dtype=np.int64)]
    return TrainData(
        train=train,
        train_labels=labels,
        val=val,
        val_labels=inputs.val.labels,
        val_usable=inputs.val.usable,
        fallback=inputs.fallback,
        scorer=inputs.scorer,
        objective=create_objective(inputs.config.training_of(GradientTraining).loss, inputs.task, labels),
    )


class HeadLearner(NeuralLearner):
    """Trains a head of :mod:`eri.models` over embeddings, with its backbone where that is fine-tuned."""

    def prepare(self, inputs: TrainingInputs, report: Report, *, fresh: bool) -> tuple[TrainingPass, TrainData]:
        """See :meth:`NeuralLearner.prepare`; what a model starts from is its standardisation and its backbone."""
        model = create_model(inputs, report, measured=fresh)
        settings = inputs.config.training_of(HeadTraining)
        load = partial(Loader, batch_size=settings.batch_size, chunk=settings.chunk, device=inputs.device)
        train = load(inputs.train.features, inputs.train.usable_ids, versions=inputs.versions, seed=settings.seed)
        val = load(inputs.val.features, inputs.val.usable_ids)
        return HeadPass(model, settings.regularization), create_train_data(inputs, train, val)

    def load(self, run: Run, device: torch.device) -> TrainedModel:
        """See :meth:`~eri.training.learners.Learner.load`."""
        model = load_model(run, run.environment["dimensions"]).to(device)
        settings = run.config.training_of(HeadTraining)
        serve = partial(Loader, batch_size=settings.batch_size, chunk=settings.chunk, device=device)
        return _TrainedNetwork(model, serve)


def create_model(inputs: TrainingInputs, report: Report, *, measured: bool = True) -> Regressor:
    """Build a model.

    Args:
        inputs: The data and settings.
        report: Called with the clips that were measured so far, and all.
        measured: Fit the standardisation to the train clips; without, a saved state is to bring it.
    """
    data, settings = inputs.train, inputs.config.training_of(HeadTraining)
    encoders = create_encoders(inputs.config, filled=measured)
    model = Regressor(
        head_of(inputs.config), data.features.dimensions, inputs.task, settings.activation, settings.center, encoders
    )
    if not (settings.standardize and measured):
        return model
    for modality, standardizer in model.standardizers.items():
        centered = modality in settings.center
        if modality in encoders:
            statistics = measure_start(encoders[modality], data, modality, inputs.device, report, centered=centered)
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
    if not isinstance(config.model, HeadConfig):
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
    settings = run.config.training_of(HeadTraining)
    encoders = create_encoders(run.config, filled=False)
    model = Regressor(head_of(run.config), dimensions, run.task, settings.activation, settings.center, encoders)
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
        crops = crops_of(inputs.train.features.sources)
        serve = partial(ClipLoader, network=model.network, batch_size=settings.batch_size, device=inputs.device)
        ids, samples = inputs.train.usable_ids, _samples(inputs)
        train = serve(
            crops,
            tuple(ids[sample.position] for sample in samples),
            changes=tuple(sample.change for sample in samples) if settings.balancing is not None else None,
            augmentation=settings.augmentation,
            seed=settings.seed,
        )
        val = serve(crops_of(inputs.val.features.sources), inputs.val.usable_ids)
        return VideoPass(model), create_train_data(inputs, train, val, [sample.position for sample in samples])

    def load(self, run: Run, device: torch.device) -> TrainedModel:
        """See :meth:`~eri.training.learners.Learner.load`."""
        model, batch_size = load_video_model(run).to(device), run.config.training_of(VideoTraining).batch_size

        def serve(features: FeatureSet, ids: Sequence[str]) -> BatchSource:
            return ClipLoader(crops_of(features.sources), tuple(ids), model.network, batch_size, device)

        return _TrainedNetwork(model, serve)


def create_video_regressor(config: ExperimentConfig, task: Task, *, filled: bool = True) -> VideoRegressor:
    """Build a system's video model.

    Args:
        config: The system.
        task: Its labels.
        filled: Give the backbone the weights that the config asks for; without, they are to come from a run.

    Raises:
        WeightsError: Weights are nowhere to be found, damaged, or of another model.
    """
    model = video_model_of(config)
    if not filled and "weights" in type(model).model_fields:
        model = model.model_copy(update={"weights": "random"})
    return VideoRegressor(
        create_video_model(model, len(task.labels)), task, config.training_of(VideoTraining).activation
    )


def video_model_of(config: ExperimentConfig) -> VideoModelConfig:
    """Return the video model of a system.

    Raises:
        ConfigError: Its model reads embeddings.
    """
    if not isinstance(config.model, VideoModelConfig):
        raise ConfigError(
            f"'{config.name}' reads cached embeddings, it has no video model",
            hint="Take a system or a run whose model reads face crops, such as ceflnet.",
        )
    return config.model


def load_video_model(run: Run) -> VideoRegressor:
    """Return a run's video model with its best weights, on the CPU.

    Raises:
        ConfigError: The run's model reads embeddings.
        RunError: There are no weights, or they are of another model.
    """
    model = create_video_regressor(run.config, run.task, filled=False)
    load_weights(run.path / layout.WEIGHTS, model)
    return model.eval()


def crops_of(sources: Mapping[str, RowSource]) -> CachedCrops:
    """Return the face crops among the sources of a split.

    Raises:
        RunError: They are embeddings.
    """
    crops = sources["visual"]
    if not isinstance(crops, CachedCrops):
        raise RunError(
            "a video model reads face crops, but the features are embeddings",
            hint="Run `eri extract` with the run's config.yaml.",
        )
    return crops


def _samples(inputs: TrainingInputs) -> tuple[Sample, ...]:
    """List the usable train clips, with the copies that balance their classes."""
    balancing, ids = inputs.config.training_of(VideoTraining).balancing, inputs.train.usable_ids
    strongest = inputs.train.labels[inputs.train.usable].argmax(axis=1)
    classes = [inputs.task.labels[index] for index in strongest]
    if balancing is None:
        return tuple(Sample(position, Change()) for position in range(len(ids)))
    return lay_out(ids, classes, balancing, inputs.config.training.seed)
