"""Recurrent encoders: LSTM, GRU and the LSTM in both directions."""

from __future__ import annotations

from torch import nn

from eri.config import BiLSTMConfig, GRUConfig, LSTMConfig
from eri.models.encoders.pooling import Encoded, Encoder, create_pooling
from eri.models.sequences import Sequences, run_recurrent


class RecurrentEncoder(Encoder):
    """A stack of recurrent layers, and a pooling of their outputs. Masked rows are skipped: they take no step.

    Args:
        config: Kind and sizes.
        dimension: Length of one embedding.
    """

    def __init__(self, config: LSTMConfig | GRUConfig | BiLSTMConfig, dimension: int) -> None:
        super().__init__()
        kind = nn.GRU if isinstance(config, GRUConfig) else nn.LSTM
        both = isinstance(config, BiLSTMConfig)
        dropout = config.dropout if config.layers > 1 else 0.0
        self.net = kind(
            dimension, config.hidden_size, config.layers, batch_first=True, dropout=dropout, bidirectional=both
        )
        pooling = "last" if isinstance(config, LSTMConfig) else config.pooling
        self.pooling = create_pooling(pooling, config.width, bidirectional=both)

    def forward(self, sequences: Sequences) -> Encoded:
        """See :meth:`Encoder.forward`."""
        rows = sequences.with_values(run_recurrent(self.net, sequences)[0])
        return Encoded(rows, self.pooling(rows))
