"""The ways to train: neural networks and boosted trees. Each is known by the config of its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch

from eri.config import LightGBMConfig, ModelConfig, VideoModelConfig
from eri.training.data import TrainingInputs
from eri.training.events import Best, Listener
from eri.training.inference import TrainedModel
from eri.training.run_folder import Run


class Learner(Protocol):
    """One way to learn, and to load what a run folder holds of it."""

    def learn(self, inputs: TrainingInputs, folder: Path, on_event: Listener) -> Best:
        """Learn, or go on after an interruption, and leave in the run folder what :meth:`load` needs.

        Args:
            inputs: The data and settings.
            folder: The run folder, locked, with its config and environment.
            on_event: Called with ``start``, an ``epoch`` for each step that was validated, and ``end``.

        Returns:
            What was chosen on the val split.

        Raises:
            RunError: Learning failed, or the folder cannot be written or gone on with.
        """
        ...

    def load(self, run: Run, device: torch.device) -> TrainedModel:
        """Load what a run learnt, to predict on a device.

        Raises:
            RunError: What was learnt is missing or damaged.
        """
        ...

    def chosen(self, run: Run) -> Any:
        """Return what ``metrics.json`` tells as the epoch: the one that was chosen, as JSON values.

        Raises:
            RunError: What was learnt is missing or damaged.
        """
        ...


def create_learner(model: ModelConfig) -> Learner:
    """Return the learner of a model's config; each is imported when first asked for."""
    if isinstance(model, LightGBMConfig):
        from eri.training.trees import TreeLearner

        return TreeLearner()
    if isinstance(model, VideoModelConfig):
        from eri.training.neural import VideoLearner

        return VideoLearner()
    from eri.training.neural import HeadLearner

    return HeadLearner()
