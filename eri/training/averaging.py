"""The exponential moving average of a model's weights, which is what is validated and kept where it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch

from eri.models import Predictor


class WeightAverage:
    """Follow a model's weights: ``average = decay * average + (1 - decay) * weights`` after every step.

    Early on the decay is ``(1 + steps) / (10 + steps)`` where that is smaller, so that the first, random weights are
    soon forgotten (as TensorFlow's ExponentialMovingAverage has it). Buffers, such as the statistics of batch
    normalisation, are averages already and are taken over as they are.

    Args:
        model: On the device where it is trained; it is copied.
        decay: In (0, 1).

    Attributes:
        model: The model with the averaged weights.
    """

    def __init__(self, model: Predictor, decay: float) -> None:
        self.model = deepcopy(model).requires_grad_(requires_grad=False)
        self._decay = decay
        self._steps = 0

    def update(self, model: Predictor) -> None:
        """Take in the weights after a step."""
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        with torch.no_grad():
            for average, weights in zip(self.model.parameters(), model.parameters(), strict=True):
                average.lerp_(weights, 1 - decay)
            for kept, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
                kept.copy_(buffer)

    def state(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs: tensors and numbers."""
        return {"model": self.model.state_dict(), "steps": self._steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state."""
        self.model.load_state_dict(state["model"])
        self._steps = int(state["steps"])
