"""What an encoder is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn

from eri.models.sequences import Sequences


class Encoded(NamedTuple):
    """What an encoder makes of the sequences of one modality.

    Attributes:
        rows: The encoded rows, (clips, rows, width); zero where they are not valid.
        summary: One vector a clip, (clips, width); of an empty sequence the same for every clip.
    """

    rows: Sequences
    summary: Tensor


class Encoder(nn.Module, ABC):
    """A net that encodes sequences whose valid rows stand at the front (see :meth:`Sequences.compact`)."""

    @abstractmethod
    def forward(self, sequences: Sequences) -> Encoded:
        """Encode a batch; a clip's figures depend on its own valid rows and their times alone."""
