"""The whole model: standardisation, a head, and the bound of its output."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn

from eri.config import HeadConfig
from eri.models.base import Predictor
from eri.models.heads import create_head
from eri.models.output import bound
from eri.models.pictures import PictureEncoder
from eri.models.sequences import Sequences
from eri.models.standardization import Standardizer
from eri.tasks import Activation, Task


class Regressor(Predictor):
    """Regress a task's labels from sequences of embeddings.

    Args:
        config: The head.
        dimensions: Length of one cached embedding by modality.
        task: Its labels and their range.
        activation: Of the output; None is the task's own.
        centered: Modalities whose clips lose their own mean embedding before they are standardised.
        encoders: Of the modalities that come as pictures, by name; the others come as embeddings.

    Examples:
        >>> import torch
        >>> from eri.config import LSTMConfig
        >>> from eri.tasks import ERI
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
        encoders: Mapping[str, PictureEncoder] | None = None,
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
        """Return intensities as the loss sees them, (clips, labels), float.

        Args:
            inputs: For each modality a batch of the same clips in the same order; a clip may have no valid row.
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
            assert isinstance(encoder, PictureEncoder)
            groups.append({"params": list(encoder.parameters()), "lr": encoder.config.learning_rate})
        return groups

    def bounded(self, prepared: Mapping[str, Sequences]) -> tuple[Tensor, Tensor]:
        """Return the intensities of prepared sequences and the raw outputs behind them, (clips, labels) each."""

        def intensities(raw: Tensor) -> Tensor:
            return bound(raw, self.activation, self.low, self.high)

        return self.head.bounded(prepared, intensities)
