"""The Transformer with a regression token, alone and behind another encoder of rows."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from eri.config import GRUTransformerConfig, TCNTransformerConfig, TransformerConfig
from eri.config.models import TransformerFields
from eri.models.encoders.convolution import Convolutions
from eri.models.encoders.pooling import Encoded, Encoder
from eri.models.encoders.recurrent import run_recurrent
from eri.models.sequences import Sequences


class Attention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017, eq. 1).

    A query whose keys are all masked gets zeros before the output layer. Queries, keys and values are projected without
    offsets: one of the keys would change nothing.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.output = nn.Linear(width, width)

    def forward(self, queries: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """Let queries (clips, queries, width) attend to rows (clips, rows, width), finite also where masked.

        The mask, bool (clips, rows), is True where a row may be attended to.
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


class Block(nn.Module):
    """Self-attention and a feed-forward net, each after a layer norm and beside a shortcut (Xiong et al. 2020)."""

    def __init__(self, config: TransformerFields) -> None:
        super().__init__()
        width = config.hidden_size
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, config.attention_heads)
        wide, narrow = nn.Linear(width, config.feedforward), nn.Linear(config.feedforward, width)
        self.feedforward = nn.Sequential(wide, nn.GELU(), nn.Dropout(config.dropout), narrow)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """Map (clips, rows, width); rows that are not valid are attended to by none."""
        normed = self.attention_norm(values)
        values = values + self.dropout(self.attention(normed, normed, mask))
        result: Tensor = values + self.dropout(self.feedforward(self.feedforward_norm(values)))
        return result


class TokenTransformer(nn.Module):
    """Blocks over the rows and one learnable token, which becomes the clip's vector (after Devlin et al. 2019).

    Sequences of any length are read whole. The token has no time, the rows' times enter as sinusoids.
    """

    def __init__(self, config: TransformerFields) -> None:
        super().__init__()
        self.times = TimeEncoding(config.hidden_size, config.shortest_period, config.longest_period)
        self.token = nn.Parameter(torch.randn(config.hidden_size) * 0.02)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.hidden_size)

    def forward(self, rows: Sequences) -> Encoded:
        """Encode rows of length ``hidden_size``."""
        clips = rows.values.shape[0]
        values = torch.cat([self.token.expand(clips, 1, -1), rows.values + self.times(rows.times)], dim=1)
        mask = torch.cat([rows.mask.new_ones((clips, 1)), rows.mask], dim=1)
        for block in self.blocks:
            values = block(values, mask)
        values = self.norm(values)
        return Encoded(rows.with_values(values[:, 1:]), values[:, 0])


class TransformerEncoder(Encoder):
    """A projection of each row, then the Transformer."""

    def __init__(self, config: TransformerConfig, dimension: int) -> None:
        super().__init__()
        self.projection = nn.Linear(dimension, config.hidden_size)
        self.transformer = TokenTransformer(config)

    def forward(self, sequences: Sequences) -> Encoded:
        """See :meth:`Encoder.forward`."""
        result: Encoded = self.transformer(sequences.with_values(self.projection(sequences.values)))
        return result


class TCNTransformerEncoder(Encoder):
    """Dilated convolutions for what is near, then the Transformer for the whole clip."""

    def __init__(self, config: TCNTransformerConfig, dimension: int) -> None:
        super().__init__()
        self.convolutions = Convolutions(config, dimension)
        self.transformer = TokenTransformer(config)

    def forward(self, sequences: Sequences) -> Encoded:
        """See :meth:`Encoder.forward`."""
        result: Encoded = self.transformer(self.convolutions(sequences))
        return result


class GRUTransformerEncoder(Encoder):
    """A stack of GRUs, then the Transformer over their outputs."""

    def __init__(self, config: GRUTransformerConfig, dimension: int) -> None:
        super().__init__()
        dropout = config.dropout if config.gru_layers > 1 else 0.0
        self.gru = nn.GRU(dimension, config.hidden_size, config.gru_layers, batch_first=True, dropout=dropout)
        self.transformer = TokenTransformer(config)

    def forward(self, sequences: Sequences) -> Encoded:
        """See :meth:`Encoder.forward`."""
        result: Encoded = self.transformer(sequences.with_values(run_recurrent(self.gru, sequences)[0]))
        return result
