"""Multi-head attention with an exact key mask, and the sinusoids that tell it the rows' times."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017, eq. 1).

    A query whose keys are all masked gets zeros before the output layer. Queries, keys and values are projected without
    offsets: one of the keys would change nothing.

    Args:
        width: Length of queries and rows.
        heads: That share it out.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.output = nn.Linear(width, width)

    def forward(self, queries: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """Attend.

        Args:
            queries: (clips, queries, width).
            rows: (clips, rows, width), finite also where they are masked.
            mask: bool (clips, rows), True where the row may be attended to.

        Returns:
            (clips, queries, width).
        """
        query, key, value = self._split(self.query(queries)), self._split(self.key(rows)), self._split(self.value(rows))
        some = mask.any(dim=1)
        allowed = (mask | ~some[:, None])[:, None, None]  # a softmax over nothing would be NaN
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        attended = attended.transpose(1, 2).flatten(2).masked_fill(~some[:, None, None], 0.0)
        result: Tensor = self.output(attended)
        return result

    def _split(self, values: Tensor) -> Tensor:
        clips, rows, width = values.shape
        return values.view(clips, rows, self.heads, width // self.heads).transpose(1, 2)


class TimeEncoding(nn.Module):
    """Sinusoids of a row's time (Vaswani et al. 2017, section 3.5), in seconds instead of positions.

    Periods grow geometrically from the shortest to the longest, so a row's code is the same at any frame rate.

    Args:
        width: Length of the code, even.
        shortest: Seconds of the fastest sinusoid.
        longest: Seconds of the slowest.

    Examples:
        >>> code = TimeEncoding(4, shortest=1.0, longest=4.0)(torch.tensor([[0.0, 1.0]]))
        >>> [[round(x, 3) + 0.0 for x in row] for row in code[0].tolist()]
        [[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0]]
    """

    frequencies: Tensor

    def __init__(self, width: int, shortest: float, longest: float) -> None:
        super().__init__()
        periods = torch.logspace(math.log10(shortest), math.log10(longest), width // 2, dtype=torch.float64)
        self.register_buffer("frequencies", (2 * math.pi / periods).float(), persistent=False)

    def forward(self, times: Tensor) -> Tensor:
        """Map seconds (clips, rows) to codes (clips, rows, width) in [-1, 1]."""
        angles = times[..., None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=2)
