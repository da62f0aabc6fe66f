"""The temporal convolutional network: residual blocks of dilated convolutions over the valid rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from eri.config import TCNConfig
from eri.config.models import ConvolutionFields
from eri.models.encoders.pooling import Encoded, Encoder, create_pooling
from eri.models.sequences import Sequences


class DilatedConvolution(nn.Module):
    """A convolution over rows that keeps their number; before the first and after the last valid row stand zeros.

    A causal one sees no row that comes later.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int, dilation: int, *, causal: bool) -> None:
        super().__init__()
        reach = (kernel_size - 1) * dilation
        self.padding = (reach, 0) if causal else (reach // 2, reach // 2)
        self.convolution = nn.Conv1d(inputs, outputs, kernel_size, dilation=dilation)

    def forward(self, values: Tensor) -> Tensor:
        """Map (clips, rows, inputs), zero where not valid, to (clips, rows, outputs)."""
        result: Tensor = self.convolution(functional.pad(values.transpose(1, 2), self.padding))
        return result.transpose(1, 2)


class ResidualBlock(nn.Module):
    """Two dilated convolutions beside a shortcut (Bai, Kolter & Koltun 2018, fig. 1b).

    Layer norm of each row stands in for their weight norm: it needs no statistics of other rows or clips.
    """

    def __init__(self, inputs: int, config: ConvolutionFields, dilation: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.convolutions = nn.ModuleList(
            DilatedConvolution(length, size, config.kernel_size, dilation, causal=config.causal)
            for length in (inputs, size)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(2))
        self.shortcut = nn.Identity() if inputs == size else nn.Linear(inputs, size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, rows: Sequences) -> Sequences:
        """Return rows of length ``hidden_size``."""
        inner = rows
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            inner = rows.with_values(self.dropout(torch.relu(norm(convolution(inner.values)))))
        return rows.with_values(self.shortcut(rows.values) + inner.values)


class Convolutions(nn.Sequential):
    """Residual blocks whose dilation doubles from each to the next.

    The last of n blocks sees ``1 + 2 (kernel_size - 1) (2^n - 1)`` rows, counted after masked ones were removed.
    """

    def __init__(self, config: ConvolutionFields, dimension: int) -> None:
        sizes = [dimension] + [config.hidden_size] * (config.levels - 1)
        super().__init__(*(ResidualBlock(size, config, 2**level) for level, size in enumerate(sizes)))


class TCNEncoder(Encoder):
    """Dilated convolutions and a pooling of the rows."""

    def __init__(self, config: TCNConfig, dimension: int) -> None:
        super().__init__()
        self.convolutions = Convolutions(config, dimension)
        self.pooling = create_pooling(config.pooling, config.width)

    def forward(self, sequences: Sequences) -> Encoded:
        """See :meth:`Encoder.forward`."""
        rows = self.convolutions(sequences)
        return Encoded(rows, self.pooling(rows))
