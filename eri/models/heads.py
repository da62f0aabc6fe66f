"""The heads: from sequences of embeddings to one raw output a label. Each is known by the name of its config."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from eri.config import BaselineLSTMConfig, FusionLSTMConfig, LSTMConfig, ModelConfig
from eri.models.sequences import LastState, Sequences


class Head(nn.Module, ABC):
    """A net that reads the sequences of every modality it was built for."""

    @abstractmethod
    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """Return raw outputs.

        Args:
            sequences: Compacted, standardised sequences by modality.

        Returns:
            (clips, labels), unbounded.
        """


class LSTMHead(Head):
    """One LSTM, a dense layer, one output a label (Qian et al. 2023, section 3.3, single modality).

    A clip without a valid row is read as the zero state.
    """

    def __init__(self, config: LSTMConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__()
        self.modality, dimension = _only(dimensions)
        self.encoder = LastState(dimension, config.hidden_size, config.layers, config.dropout)
        self.output = nn.Sequential(
            nn.Dropout(config.dropout),
            *_dense(config.hidden_size, config.dense, config.dropout),
            nn.Linear(config.dense, labels),
        )

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        result: Tensor = self.output(self.encoder(sequences[self.modality]))
        return result


class BaselineLSTMHead(Head):
    """The organisers' baseline: projection, three-layer LSTM, two linear layers (Christ et al. 2022, MuSe baseline).

    A clip without a valid row is read as the zero state.
    """

    def __init__(self, config: BaselineLSTMConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__()
        self.modality, dimension = _only(dimensions)
        size = config.hidden_size
        self.projection = nn.Linear(dimension, size, bias=False)
        self.encoder = LastState(size, size, config.layers, config.rnn_dropout)
        self.output = nn.Sequential(*_dense(size, size, config.dropout), nn.Linear(size, labels))

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        own = sequences[self.modality]
        result: Tensor = self.output(self.encoder(Sequences(self.projection(own.values), own.mask)))
        return result


class FusionLSTMHead(Head):
    """Parallel LSTMs, a dense layer each, a joint layer (Qian et al. 2023, fig. 3, multimodal).

    A modality in which a clip has no valid row enters as the zero state.
    """

    def __init__(self, config: FusionLSTMConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__()
        dense = (config.hidden_size, config.dense, config.dropout)
        self.encoders = nn.ModuleDict(
            {name: LastState(length, config.hidden_size) for name, length in dimensions.items()}
        )
        self.dense = nn.ModuleDict(
            {name: nn.Sequential(nn.Dropout(config.dropout), *_dense(*dense)) for name in dimensions}
        )
        self.output = nn.Sequential(
            *_dense(config.dense * len(dimensions), config.joint, config.dropout), nn.Linear(config.joint, labels)
        )

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        states = [self.dense[name](encoder(sequences[name])) for name, encoder in self.encoders.items()]
        result: Tensor = self.output(torch.cat(states, dim=1))
        return result


def create_head(config: ModelConfig, dimensions: Mapping[str, int], labels: int) -> Head:
    """Build the head that a config names.

    Args:
        config: Its name and sizes.
        dimensions: Length of one embedding by modality.
        labels: Number of outputs.

    Raises:
        ValueError: A head of one modality is given several.
    """
    match config:
        case LSTMConfig():
            return LSTMHead(config, dimensions, labels)
        case BaselineLSTMConfig():
            return BaselineLSTMHead(config, dimensions, labels)
        case FusionLSTMConfig():
            return FusionLSTMHead(config, dimensions, labels)


def _only(dimensions: Mapping[str, int]) -> tuple[str, int]:
    if len(dimensions) != 1:
        raise ValueError(f"this head reads one modality, not {sorted(dimensions)}; use fusion-lstm")
    return next(iter(dimensions.items()))


def _dense(inputs: int, outputs: int, dropout: float) -> tuple[nn.Module, ...]:
    return nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)
