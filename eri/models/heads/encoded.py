"""The head of one modality over any encoder."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from eri.config import EncoderConfig
from eri.models.encoders import create_encoder
from eri.models.heads.base import Head, dense, only
from eri.models.sequences import Sequences


class Branch(nn.Module):
    """An encoder and the dense layer after it.

    Args:
        config: The encoder.
        dimension: Length of one embedding.
    """

    def __init__(self, config: EncoderConfig, dimension: int) -> None:
        super().__init__()
        self.encoder = create_encoder(config, dimension)
        self.dense = nn.Sequential(nn.Dropout(config.dropout), *dense(config.width, config.dense, config.dropout))

    def forward(self, sequences: Sequences) -> Tensor:
        """Return (clips, dense)."""
        result: Tensor = self.dense(self.encoder(sequences).summary)
        return result


class EncoderHead(Head):
    """An encoder, a dense layer, one output a label."""

    def __init__(self, config: EncoderConfig, dimensions: Mapping[str, int], labels: int) -> None:
        super().__init__()
        self.modality, dimension = only(dimensions)
        self.branch = Branch(config, dimension)
        self.output = nn.Linear(config.dense, labels)

    def forward(self, sequences: Mapping[str, Sequences]) -> Tensor:
        """See :meth:`Head.forward`."""
        result: Tensor = self.output(self.branch(sequences[self.modality]))
        return result
