"""The ways to train: neural networks and boosted trees. Each is known by the config of its model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from eri.config import LightGBMConfig, ModelConfig, VideoModelConfig
from eri.metrics.intensities import Floats
from eri.training.data import TrainingInputs
from eri.training.events import Best, Listener
from eri.training.features import FeatureSet
from eri.training.run_folder import Run


class TrainedModel(Protocol):
    """What a run folder holds of a model, loaded to predict."""

    def predict(self, features: FeatureSet, ids: Sequence[str]) -> Floats:
        """Predict clips that have a valid row in some modality, float64 (len(ids), labels), within the task's range.

        A clip's scores depend on its own features alone. Raises RunError where it was trained on other features.
        """


class Learner(Protocol):
    """One way to learn, and to load what a run folder holds of it; RunError where that fails, is missing or damaged."""

    def learn(self, inputs: TrainingInputs, folder: Path, on_event: Listener) -> Best:
        """Learn, or go on after an interruption, and leave in the run folder what :meth:`load` needs.

        The folder is locked and has its config and environment. ``on_event`` is called with ``start``, an ``epoch`` for
        each step that was validated, and ``end``. Returns what was chosen on the val split.
        """

    def load(self, run: Run, device: torch.device) -> TrainedModel:
        """Load what a run learnt, to predict on a device."""

    def chosen(self, run: Run) -> Any:
        """Return what ``metrics.json`` tells as the epoch: the one that was chosen, as JSON values."""


def create_learner(model: ModelConfig) -> Learner:
    """Return the learner of a model's config; each is imported when first asked for."""
    if isinstance(model, LightGBMConfig):
        from eri.training.trees.learner import TreeLearner

        return TreeLearner()
    from eri.training.neural import HeadLearner, VideoLearner

    return VideoLearner() if isinstance(model, VideoModelConfig) else HeadLearner()
