"""Batches of sequences of unequal length, and the recurrent encoder that reads them.

A masked row (no face, no sound, padding) must not touch the numbers: it is removed before the recurrent net sees the
sequence, so that what stands in it has no influence at all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence


class Sequences:
    """Embeddings of several clips, padded to one length.

    Not a dataclass on purpose: Lightning Fabric would look into one and round the values to bf16 before they are
    standardised.

    Attributes:
        values: float (clips, rows, dimension).
        mask: bool (clips, rows), True where the row is valid; anywhere in the sequence.

    Examples:
        >>> values = torch.tensor([[[9.0], [1.0], [2.0]], [[9.0], [9.0], [9.0]]])
        >>> batch = Sequences(values, torch.tensor([[False, True, True], [False, False, False]]))
        >>> batch.compact().values.squeeze(-1).tolist(), batch.lengths.tolist()
        ([[1.0, 2.0], [0.0, 0.0]], [2, 0])
    """

    def __init__(self, values: Tensor, mask: Tensor) -> None:
        self.values = values
        self.mask = mask

    @property
    def lengths(self) -> Tensor:
        """Valid rows of each clip, int64 (clips,)."""
        return self.mask.sum(dim=1)

    def compact(self) -> Sequences:
        """Move the valid rows of each clip to its front, in order, and zero everything after them."""
        lengths = self.lengths
        steps = torch.arange(max(1, int(lengths.max())), device=self.mask.device)
        mask = steps < lengths[:, None]
        values = self.values.new_zeros((*mask.shape, self.values.shape[2]))
        values[mask] = self.values[self.mask]
        return Sequences(values, mask)


class LastState(nn.Module):
    """An LSTM (Hochreiter & Schmidhuber 1997) that gives its top layer's hidden state after the last valid row.

    Args:
        dimension: Length of one embedding.
        hidden_size: Units of each layer.
        layers: Stacked layers.
        dropout: Between stacked layers; without effect when there is one.
    """

    def __init__(self, dimension: int, hidden_size: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dimension, hidden_size, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)

    def forward(self, sequences: Sequences) -> Tensor:
        """Encode sequences whose valid rows stand at the front (see :meth:`Sequences.compact`).

        Returns:
            (clips, hidden_size); zeros for a clip without a valid row.
        """
        lengths = sequences.lengths.cpu()
        present = torch.nonzero(lengths).squeeze(1)
        if len(present) == 0:
            return sequences.values.new_zeros((len(lengths), self.lstm.hidden_size))
        values = sequences.values
        if len(present) < len(lengths):
            values = values[present.to(values.device)]
        packed = pack_padded_sequence(values, lengths[present], batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.lstm(packed)
        last: Tensor = hidden[-1]
        if len(present) == len(lengths):
            return last
        return last.new_zeros((len(lengths), last.shape[1])).index_copy(0, present.to(last.device), last)
