"""The whole model: standardisation, a head, and the bound of its output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eri.config import HeadConfig
from eri.config.tasks import Activation, Task
from eri.models.heads import create_head
from eri.models.image_encoder import ImageEncoder
from eri.models.sequences import Sequences


class Predictor(nn.Module, ABC):
    """A network from the inputs of a batch, whatever a loader serves, to a task's labels."""

    @abstractmethod
    def predict(self, inputs: Any) -> Tensor:
        """Return predictions as they are scored and submitted, float64 (clips, labels), within the task's range."""

    @abstractmethod
    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters for an optimiser; a group may have a learning rate ``lr`` of its own."""


def bound(raw: Tensor, activation: Activation, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Map raw outputs (clips, labels) to intensities.

    ``sigmoid`` bounds each label to [low, high]; ``softmax`` shares the range out among the labels (drawn in fig. 3 of
    Qian et al. 2023); ``linear`` leaves them as they are.

    Examples:
        >>> bound(torch.tensor([[0.0, 0.0]]), "sigmoid", -1.0, 1.0).tolist()
        [[0.0, 0.0]]
        >>> bound(torch.tensor([[3.0, 3.0]]), "softmax").tolist()
        [[0.5, 0.5]]
    """
    if activation == "linear":
        return raw
    share = torch.sigmoid(raw) if activation == "sigmoid" else torch.softmax(raw, dim=1)
    return low + (high - low) * share


# A deviation below this share of the mean is float32 rounding, not signal (float32 resolves 6e-8).
_RESOLUTION = 1e-6


class Standardizer(nn.Module):
    """Map each feature x to (x - mean) / scale (Qian et al. 2023, eq. 3).

    The statistics are buffers, so they are saved and loaded with the weights. A new one leaves features unchanged.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("scale", torch.ones(dimension))

    def set_statistics(self, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> None:
        """Take over statistics, each (dimension,).

        A feature that does not vary is centred and not scaled: dividing by nothing would blow up rounding errors.
        """
        flat = deviation <= _RESOLUTION * np.abs(mean)
        scale = np.where(flat, 1.0, deviation)
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(scale))

    def forward(self, values: Tensor) -> Tensor:
        """Standardise values of shape (..., dimension)."""
        return (values - self.mean).div_(self.scale)


class Regressor(Predictor):
    """Regress a task's labels from sequences of embeddings, whose lengths are the ``dimensions`` by modality.

    Clips of ``centered`` modalities lose their own mean embedding before they are standardised. ``encoders`` are those
    of the modalities that come as images. The task's own activation bounds the output unless another is given.

    Examples:
        >>> from eri.config import LSTMConfig
        >>> from eri.config.tasks import ERI
        >>> model = Regressor(LSTMConfig(hidden_size=8, dense=4), {"audio": 3}, ERI)
        >>> clips = Sequences(torch.randn(2, 5, 3), torch.ones(2, 5, dtype=torch.bool))
        >>> model({"audio": clips}).shape
        torch.Size([2, 7])
    """

    def __init__(
        self,
        config: HeadConfig,
        dimensions: Mapping[str, int],
        task: Task,
        activation: Activation | None = None,
        centered: Collection[str] = (),
        encoders: Mapping[str, ImageEncoder] | None = None,
    ) -> None:
        super().__init__()
        encoders = encoders or {}
        dimensions = {**{name: encoder.dimension for name, encoder in encoders.items()}, **dimensions}
        self.low, self.high = task.low, task.high
        self.centered = frozenset(centered)
        self.activation: Activation = activation or task.activation
        self.standardizers = nn.ModuleDict({name: Standardizer(length) for name, length in dimensions.items()})
        self.encoders = nn.ModuleDict(dict(encoders))
        self.head = create_head(config, dimensions, len(task.labels))

    def forward(self, inputs: Mapping[str, Sequences]) -> Tensor:
        """Return intensities as the loss sees them, float (clips, labels).

        Each modality has a batch of the same clips in the same order; a clip may have no valid row.
        """
        return self.bounded(self.prepare(inputs))[0]

    def predict(self, inputs: Mapping[str, Sequences]) -> Tensor:
        """Return intensities as they are submitted, float64 and within the task's range, also of a linear output."""
        result: Tensor = self(inputs)
        return result.double().clamp(self.low, self.high)  # in float32 the ends of the range would be rounded

    def prepare(self, inputs: Mapping[str, Sequences]) -> dict[str, Sequences]:
        """Compact, center where asked for, and standardise sequences: what a head reads."""
        prepared = {}
        for name, standardizer in self.standardizers.items():
            sequences = inputs[name]
            if name in self.encoders:
                sequences = self.encoders[name](sequences)
            sequences = sequences.compact()
            if name in self.centered:
                sequences = sequences.centered()
            prepared[name] = sequences.with_values(standardizer(sequences.values))
        return prepared

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters for an optimiser: the head's, then each backbone's with a learning rate of its own."""
        inside = {id(parameter) for parameter in self.encoders.parameters()}
        groups: list[dict[str, Any]] = [{"params": [own for own in self.parameters() if id(own) not in inside]}]
        for encoder in self.encoders.values():
            assert isinstance(encoder, ImageEncoder)
            groups.append({"params": list(encoder.parameters()), "lr": encoder.config.learning_rate})
        return groups

    def bounded(self, prepared: Mapping[str, Sequences]) -> tuple[Tensor, Tensor]:
        """Return the intensities of prepared sequences and the raw outputs behind them, (clips, labels) each."""
        return self.head.bounded(prepared, lambda raw: bound(raw, self.activation, self.low, self.high))
