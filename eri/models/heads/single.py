"""What a head is, and the heads of one modality: over any encoder, and those of the papers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from eri.config import BaselineLSTMConfig, EncoderConfig, LSTMConfig
from eri.models.encoders import create_encoder
from eri.models.encoders.recurrent import LastState
from eri.models.sequences import Sequences


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

    def bounded(self, sequences: Mapping[str, Sequences], bound: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """Return intensities and the raw outputs behind them, (clips, labels) each.

        Args:
            sequences: As :meth:`forward` takes them.
            bound: Maps raw outputs to intensities.
        """
        raw: Tensor = self(sequences)
        return bound(raw), raw


def dense(inputs: int, outputs: int, dropout: float) -> tuple[nn.Module, ...]:
    """Return a dense layer with its activation and dropout."""
    return nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)


def _only(dimensions: Mapping[str, int]) -> tuple[str, int]:
    """Return the one modality with its length."""
    if len(dimensions) != 1:
        raise ValueError(f"this head reads one modality, not {sorted(dimensions)}; use one that fuses several")
    return next(iter(dimensions.items()))


class Branch(nn.Module):
    """An encoder and the dense layer after it."""

    def __init__(self, config: EncoderConfig, dimension: int) -> None:
        super().__init__()
        self.encoder = create_encoder(config, dimension)
        self.dense = nn.Sequential(nn.Dropout(config.dropout), *dense(config.width, config.dense, config.dropout))

    def forward(self, sequences: Sequences) -> Tensor:
        """Return (clips, dense)."""
        result: Tensor = self.dense(self.encoder(sequences).summary)
        return result


class EncoderHead(Head):
    """An encoder, a dense layer, one output per label."""

    def __init__(self, config: EncoderConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__()
        self.modality, dimension = _only(dimensions)
        self.branch = Branch(config, dimension)
        self.output = nn.Linear(config.dense, labels)

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        result: Tensor = self.output(self.branch(sequences[self.modality]))
        return result


class LSTMHead(Head):
    """One LSTM, a dense layer, one output per label (Qian et al. 2023, section 3.3, single modality).

    A clip without a valid row is read as the zero state.
    """

    def __init__(self, config: LSTMConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__()
        self.modality, dimension = _only(dimensions)
        self.encoder = LastState(dimension, config.hidden_size, config.layers, config.dropout)
        layers = dense(config.hidden_size, config.dense, config.dropout)
        self.output = nn.Sequential(nn.Dropout(config.dropout), *layers, nn.Linear(config.dense, labels))

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
        self.output = nn.Sequential(*dense(size, size, config.dropout), nn.Linear(size, labels))

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        own = sequences[self.modality]
        result: Tensor = self.output(self.encoder(own.with_values(self.projection(own.values))))
        return result
