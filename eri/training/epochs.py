"""What all learners do that train a network epoch by epoch: build it, run the loop, keep the best epoch's weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from eri.metrics.intensities import Floats
from eri.training import run_folder as layout
from eri.training.augmentation import TrainingPass
from eri.training.checkpoint import seed_generators, weights_metadata
from eri.training.data import fallback_vector, label_means
from eri.training.device import create_fabric
from eri.training.events import Listener
from eri.training.features import FeatureSet
from eri.training.learners import Lesson
from eri.training.loading import BatchSource, EpochSource
from eri.training.loop import Material, Trainer
from eri.training.objective import create_objective
from eri.training.run_folder import Run
from eri.training.selection import Best


class EpochLearner(ABC):
    """Trains a network epoch by epoch; the best epoch's weights predict."""

    def learn(self, lesson: Lesson, folder: Path, on_event: Listener) -> Best:
        """See :meth:`~eri.training.learners.Learner.learn`; goes on from the last state that was saved."""
        settings = lesson.config.training
        seed_generators(settings.seed)
        resumed = (folder / layout.STATE).is_file()
        training_pass, material = self.prepare(lesson, fresh=not resumed)
        fabric = lesson.fabric or create_fabric(lesson.device, lesson.precision)
        trainer = Trainer(settings, training_pass, material, folder, fabric, on_event, lesson.place)
        if resumed:
            trainer.resume()
        return trainer.run().best

    @abstractmethod
    def prepare(self, lesson: Lesson, *, fresh: bool) -> tuple[TrainingPass, Material]:
        """Build the model and lay out the clips.

        Args:
            lesson: The data and settings.
            fresh: Give the model what it starts from; without, a saved state is to bring it.
        """

    @abstractmethod
    def predict(self, run: Run, features: FeatureSet, ids: Sequence[str], device: torch.device) -> Floats:
        """See :meth:`~eri.training.learners.Learner.predict`."""

    def chosen(self, run: Run) -> int:
        """Return the best epoch, counted from 1."""
        return int(weights_metadata(run.path / layout.WEIGHTS)["epoch"])


def create_material(
    lesson: Lesson, train: EpochSource, val: BatchSource, samples: Sequence[int] | None = None
) -> Material:
    """Lay out the clips of a lesson for the loop.

    Args:
        lesson: The data and settings.
        train: Serves the train clips.
        val: Serves the val clips.
        samples: Index of the usable train clip behind each that ``train`` serves; None where it serves each once.
    """
    labels, names = lesson.train_labels, lesson.task.labels
    if samples is not None:
        labels = labels[np.asarray(samples, dtype=np.int64)]
    return Material(
        train=train,
        train_labels=labels,
        val=val,
        val_labels=lesson.val.labels,
        val_usable=lesson.val.usable,
        fallback=fallback_vector(label_means(lesson.train, names), names),
        scorer=lesson.scorer,
        objective=create_objective(lesson.config.training.loss, lesson.task, labels),
    )
