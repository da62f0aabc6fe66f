"""Learning with a video model: the network, the pictures it reads, and predictions with the best weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from eri.config import ExperimentConfig, VideoModelConfig, VideoModelFields
from eri.config.tasks import Task
from eri.features.crops import CachedCrops
from eri.metrics.intensities import Floats
from eri.models.video import create_video_model
from eri.models.video.regressor import VideoRegressor
from eri.training import run_folder as layout
from eri.training.augmentation import Mixing, TrainingPass
from eri.training.balancing import Change, Sample, lay_out
from eri.training.checkpoint import load_weights
from eri.training.clips import ClipLoader
from eri.training.epochs import EpochLearner, create_material
from eri.training.features import FeatureSet, RowSource
from eri.training.inference import predict_clips
from eri.training.keeping import kept
from eri.training.learners import Lesson
from eri.training.loop import Material
from eri.training.run_folder import Run
from eri.utils.errors import ConfigError, RunError


class VideoPass(TrainingPass):
    """A pass through a video model, with the loss that it brings itself."""

    def forward(self, inputs: Tensor, mixing: Mixing | None, targets: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """See :meth:`TrainingPass.forward`; clips of pictures are not mixed."""
        model = self.model
        assert isinstance(model, VideoRegressor)
        predictions, output = model(inputs)
        return predictions, output.raw, model.network.auxiliary_loss(output, targets)


class VideoLearner(EpochLearner):
    """Trains a model of :mod:`eri.models.video` end to end on cached face crops."""

    def prepare(self, lesson: Lesson, *, fresh: bool) -> tuple[TrainingPass, Material]:
        """See :meth:`EpochLearner.prepare`; what a model starts from is its backbone's weights."""
        config, settings = lesson.config, lesson.config.training
        model = create_model(config, lesson.task, filled=fresh)
        crops = crops_of(lesson.train.features.sources)
        serve = partial(ClipLoader, network=model.network, batch_size=settings.batch_size, device=lesson.device)
        ids, samples = lesson.train.usable_ids, _samples(lesson)
        train = serve(
            crops,
            tuple(ids[sample.position] for sample in samples),
            changes=tuple(sample.change for sample in samples) if settings.balancing is not None else None,
            augmentation=settings.augmentation,
            seed=settings.seed,
        )
        val = serve(crops_of(lesson.val.features.sources), lesson.val.usable_ids)
        return VideoPass(model), create_material(lesson, train, val, [sample.position for sample in samples])

    def predict(self, run: Run, features: FeatureSet, ids: Sequence[str], device: torch.device) -> Floats:
        """See :meth:`~eri.training.learners.Learner.predict`."""
        model = kept(run.path, lambda: load_video_model(run).to(device))
        crops = crops_of(features.sources)
        loader = ClipLoader(crops, tuple(ids), model.network, run.config.training.batch_size, device)
        return predict_clips(model, loader)


def create_model(config: ExperimentConfig, task: Task, *, filled: bool = True) -> VideoRegressor:
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
    return VideoRegressor(create_video_model(model, len(task.labels)), task, config.training.activation)


def video_model_of(config: ExperimentConfig) -> VideoModelConfig:
    """Return the video model of a system.

    Raises:
        ConfigError: Its model reads embeddings.
    """
    if not isinstance(config.model, VideoModelFields):
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
    model = create_model(run.config, run.task, filled=False)
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


def _samples(lesson: Lesson) -> tuple[Sample, ...]:
    """List the usable train clips, with the copies that balance their classes."""
    balancing, ids = lesson.config.training.balancing, lesson.train.usable_ids
    strongest = lesson.train.labels[lesson.train.usable].argmax(axis=1)
    classes = [lesson.task.labels[index] for index in strongest]
    if balancing is None:
        return tuple(Sample(position, Change()) for position in range(len(ids)))
    return lay_out(ids, classes, balancing, lesson.config.training.seed)
