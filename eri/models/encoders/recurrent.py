"""Recurrent nets over the valid rows, and the encoders made of them: LSTM, GRU and the LSTM in both directions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from eri.config import BiLSTMConfig, GRUConfig, LSTMConfig
from eri.models.encoders.pooling import Encoded, Encoder, create_pooling
from eri.models.sequences import Sequences


def run_recurrent(net: nn.LSTM | nn.GRU, sequences: Sequences) -> tuple[Tensor, Tensor]:
    """Run a recurrent net over the valid rows, which stand at the front, of the clips that have any.

    Return the top layer's outputs (clips, rows, directions * hidden), zero in rows that are not valid, and the hidden
    states at the ends (layers * directions, clips, hidden), zero for a clip without a valid row.
    """
    values = sequences.values
    if sequences.full:  # as many rows in all clips: nothing to pack
        outputs, state = net(values)
        return outputs, state[0] if isinstance(state, tuple) else state
    lengths = sequences.known_counts()
    present = torch.nonzero(lengths).squeeze(1)
    directions = 2 if net.bidirectional else 1
    if len(present) == 0:
        nothing = values.new_zeros((len(lengths), values.shape[1], directions * net.hidden_size))
        return nothing, values.new_zeros((net.num_layers * directions, len(lengths), net.hidden_size))
    chosen = present.to(values.device)
    if len(present) < len(lengths):
        values = values[chosen]
    outputs, state = net(pack_padded_sequence(values, lengths[present], batch_first=True, enforce_sorted=False))
    hidden = state[0] if isinstance(state, tuple) else state
    rows, _ = pad_packed_sequence(outputs, batch_first=True, total_length=values.shape[1])
    if len(present) == len(lengths):
        return rows, hidden
    all_rows = rows.new_zeros((len(lengths), *rows.shape[1:])).index_copy(0, chosen, rows)
    return all_rows, hidden.new_zeros((len(hidden), len(lengths), hidden.shape[2])).index_copy(1, chosen, hidden)


class LastState(nn.Module):
    """An LSTM (Hochreiter & Schmidhuber 1997) that gives its top layer's hidden state after the last valid row."""

    def __init__(self, dimension: int, hidden_size: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dimension, hidden_size, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)

    def forward(self, sequences: Sequences) -> Tensor:
        """Encode compact sequences as (clips, hidden_size); zeros for a clip without a valid row."""
        last: Tensor = run_recurrent(self.lstm, sequences)[1][-1]
        return last


class RecurrentEncoder(Encoder):
    """A stack of recurrent layers, and a pooling of their outputs. Masked rows are skipped: they take no step."""

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
