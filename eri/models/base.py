"""What the training loop can train: networks that predict a task's labels for a batch of clips."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class Predictor(nn.Module, ABC):
    """A network from the inputs of a batch, whatever a loader serves, to a task's labels."""

    @abstractmethod
    def predict(self, inputs: Any) -> Tensor:
        """Return predictions as they are scored and submitted, float64 (clips, labels), within the task's range."""

    @abstractmethod
    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters for an optimiser; a group may have a learning rate ``lr`` of its own."""
