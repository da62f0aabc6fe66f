"""Pooling: from the encoded rows of a clip to one vector. All give zeros for a clip without a valid row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from eri.config import AttentionPoolingConfig, Pooling
from eri.models.sequences import Sequences


class Encoded(NamedTuple):
    """What an encoder makes of the sequences of one modality."""

    rows: Sequences  # (clips, rows, width); zero where they are not valid
    summary: Tensor  # one vector per clip, (clips, width); of an empty sequence the same for every clip


class Encoder(nn.Module, ABC):
    """A net that encodes sequences whose valid rows stand at the front (see :meth:`Sequences.compact`)."""

    @abstractmethod
    def forward(self, sequences: Sequences) -> Encoded:
        """Encode a batch; a clip's numbers depend on its own valid rows and their times alone."""


class LastRow(nn.Module):
    """The last valid row; of a net in two directions, the end of each."""

    def __init__(self, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.bidirectional = bidirectional

    def forward(self, rows: Sequences) -> Tensor:
        """Return (clips, width)."""
        values = rows.values
        last = (rows.lengths - 1).clamp(min=0)
        ends = values[torch.arange(values.shape[0], device=values.device), last]
        if not self.bidirectional:
            return ends
        forwards, backwards = ends.chunk(2, dim=1)[0], values[:, 0].chunk(2, dim=1)[1]
        return torch.cat([forwards, backwards], dim=1)


class MeanRow(nn.Module):
    """The mean of the valid rows."""

    def forward(self, rows: Sequences) -> Tensor:
        """Return (clips, width)."""
        return rows.values.sum(dim=1) / rows.lengths.clamp(min=1)[:, None]


class AttentionRow(nn.Module):
    """The mean of the valid rows by learnt weights: ``softmax(v tanh(W x))`` (after Bahdanau et al. 2015)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # The softmax does not see an offset of all scores, so the last layer has none.
        self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False))

    def forward(self, rows: Sequences) -> Tensor:
        """Return (clips, width)."""
        scores = self.score(rows.values).squeeze(2).float()
        # Not -inf: the softmax of a clip without a valid row would be NaN. Its rows are zero, and so is their mean.
        weights = torch.softmax(scores.masked_fill(~rows.mask, torch.finfo(scores.dtype).min), dim=1)
        return (weights[..., None] * rows.values).sum(dim=1)


def create_pooling(kind: Pooling, width: int, *, bidirectional: bool = False) -> nn.Module:
    """Return the pooling of a name, for rows of a width."""
    match kind:
        case "last":
            return LastRow(bidirectional=bidirectional)
        case "mean":
            return MeanRow()
        case "attention":
            return AttentionRow(width)


class AttentionPoolingEncoder(Encoder):
    """Project each row, and pool by attention. The order of rows is not seen."""

    def __init__(self, config: AttentionPoolingConfig, dimension: int) -> None:
        super().__init__()
        self.projection = nn.Sequential(nn.Linear(dimension, config.hidden_size), nn.ReLU(), nn.Dropout(config.dropout))
        self.pooling = AttentionRow(config.hidden_size)

    def forward(self, sequences: Sequences) -> Encoded:
        """See :meth:`Encoder.forward`."""
        rows = sequences.with_values(self.projection(sequences.values))
        return Encoded(rows, self.pooling(rows))
