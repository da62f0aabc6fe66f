"""The ways to learn: neural heads, boosted trees, video models. Each is known by the config of its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from eri.config import ExperimentConfig, Precision
from eri.config.tasks import Task
from eri.metrics.intensities import Floats
from eri.metrics.scoring import Scorer, create_scorer
from eri.training.data import SplitData, shuffled
from eri.training.events import Listener
from eri.training.features import FeatureSet, ModalityFeatures
from eri.training.processes import ALONE, Place
from eri.training.run_folder import Run
from eri.training.selection import Best

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a learner is given.

    Attributes:
        config: The system.
        task: Its labels and their range.
        train: The clips to learn from; those that are not usable are to be left out.
        val: The clips to choose by; those that are not usable are predicted as the mean of the train labels.
        device: Where to compute.
        precision: Of a neural net's training.
        versions: Further versions of the train clips' embeddings, by modality: each epoch takes one of every clip.
        fabric: Of the processes that train together; None where this one trains alone.
        place: This process's place among them.
    """

    config: ExperimentConfig
    task: Task
    train: SplitData
    val: SplitData
    device: torch.device
    precision: Precision
    versions: Mapping[str, tuple[ModalityFeatures, ...]] = field(default_factory=dict)
    fabric: Fabric | None = None
    place: Place = ALONE

    @property
    def scorer(self) -> Scorer:
        """What scores predictions of the task."""
        return create_scorer(self.task.kind, self.task.labels)

    @property
    def train_labels(self) -> Floats:
        """Labels of the usable train clips, float64 (clips, labels); permuted where the config asks for the control."""
        settings = self.config.training
        labels = self.train.labels[self.train.usable]
        return shuffled(labels, settings.seed) if settings.shuffle_labels else labels


class Learner(Protocol):
    """One way to learn, and to predict from what a run folder holds of it."""

    def learn(self, lesson: Lesson, folder: Path, on_event: Listener) -> Best:
        """Learn, or go on after an interruption, and leave in the run folder what :meth:`predict` needs.

        Args:
            lesson: The data and settings.
            folder: The run folder, claimed, with its config and environment.
            on_event: Called with ``start``, an ``epoch`` for each step that was validated, and ``end``.

        Returns:
            What was chosen on the val split.

        Raises:
            RunError: Learning failed, or the folder cannot be written or gone on with.
        """
        ...

    def predict(self, run: Run, features: FeatureSet, ids: Sequence[str], device: torch.device) -> Floats:
        """Predict clips that have a valid row in some modality; a clip's figures depend on its own features alone.

        Returns:
            float64 (len(ids), labels), within the task's range.

        Raises:
            RunError: What was learnt is missing, damaged or of other features.
        """
        ...

    def chosen(self, run: Run) -> Any:
        """Return what ``metrics.json`` tells as the epoch: the one that was chosen, as JSON values.

        Raises:
            RunError: What was learnt is missing or damaged.
        """
        ...
