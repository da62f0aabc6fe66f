"""The heads of the papers: one LSTM, the organisers' baseline, two parallel LSTMs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from eri.config import BaselineLSTMConfig, FusionLSTMConfig, LSTMConfig
from eri.models.heads.encoded import Head, dense, only
from eri.models.sequences import LastState, Sequences


class LSTMHead(Head):
    """One LSTM, a dense layer, one output a label (Qian et al. 2023, section 3.3, single modality).

    A clip without a valid row is read as the zero state.
    """

    def __init__(self, config: LSTMConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__()
        self.modality, dimension = only(dimensions)
        self.encoder = LastState(dimension, config.hidden_size, config.layers, config.dropout)
        self.output = nn.Sequential(
            nn.Dropout(config.dropout),
            *dense(config.hidden_size, config.dense, config.dropout),
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
        self.modality, dimension = only(dimensions)
        size = config.hidden_size
        self.projection = nn.Linear(dimension, size, bias=False)
        self.encoder = LastState(size, size, config.layers, config.rnn_dropout)
        self.output = nn.Sequential(*dense(size, size, config.dropout), nn.Linear(size, labels))

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        own = sequences[self.modality]
        result: Tensor = self.output(self.encoder(own.with_values(self.projection(own.values))))
        return result


class FusionLSTMHead(Head):
    """Parallel LSTMs, a dense layer each, a joint layer (Qian et al. 2023, fig. 3, multimodal).

    A modality in which a clip has no valid row enters as the zero state.
    """

    def __init__(self, config: FusionLSTMConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__()
        sizes = (config.hidden_size, config.dense, config.dropout)
        self.encoders = nn.ModuleDict(
            {name: LastState(length, config.hidden_size) for name, length in dimensions.items()}
        )
        self.dense = nn.ModuleDict(
            {name: nn.Sequential(nn.Dropout(config.dropout), *dense(*sizes)) for name in dimensions}
        )
        self.output = nn.Sequential(
            *dense(config.dense * len(dimensions), config.joint, config.dropout), nn.Linear(config.joint, labels)
        )

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        states = [self.dense[name](encoder(sequences[name])) for name, encoder in self.encoders.items()]
        result: Tensor = self.output(torch.cat(states, dim=1))
        return result
