"""What a head is, and the layers that several heads are built of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor, nn

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


def only(dimensions: Mapping[str, int]) -> tuple[str, int]:
    """Return the one modality with its length.

    Raises:
        ValueError: There are several.
    """
    if len(dimensions) != 1:
        raise ValueError(f"this head reads one modality, not {sorted(dimensions)}; use one that fuses several")
    return next(iter(dimensions.items()))


def dense(inputs: int, outputs: int, dropout: float) -> tuple[nn.Module, ...]:
    """Return a dense layer with its activation and dropout."""
    return nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)
