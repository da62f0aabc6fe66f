"""Attention of a clip's feature maps over space and over time (Singh et al. 2023, equations 1 to 3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Axis = Literal["space", "time"]
Maps = Literal["each", "shared"]


class AxisAttention(nn.Module):
    """``V softmax(Q K^T)`` over one axis, with keys, queries and values from 1 × 1 × 1 convolutions (eq. 1 or 2).

    The softmax runs over the positions that are attended to; similarities are not scaled, as printed.

    Args:
        channels: Of the features.
        axis: ``space``: positions are the places of a map; ``time``: they are its moments.
        compression: Channels of a feature for each channel of keys and queries.
        compress_values: Values are as narrow as keys, and a convolution brings the result back.
        maps: ``each``: one map for every moment (or place); ``shared``: the similarities are summed over them.
    """

    def __init__(self, channels: int, axis: Axis, *, compression: int, compress_values: bool, maps: Maps) -> None:
        super().__init__()
        narrow = max(1, channels // compression)
        self.axis, self.maps = axis, maps
        self.query = nn.Conv3d(channels, narrow, 1)
        self.key = nn.Conv3d(channels, narrow, 1)
        self.value = nn.Conv3d(channels, narrow if compress_values else channels, 1)
        self.output = nn.Conv3d(narrow, channels, 1) if compress_values else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Map features (clips, channels, moments, height, width) to the same shape."""
        query, key, value = (self._arrange(net(features)) for net in (self.query, self.key, self.value))
        weights = torch.softmax(query @ key.transpose(2, 3), dim=3)
        result: Tensor = self.output(self._restore(weights @ value, features.shape))
        return result

    def _arrange(self, values: Tensor) -> Tensor:
        """Return (clips, maps, positions, numbers a position)."""
        groups_first = (0, 2, 3, 4, 1) if self.axis == "space" else (0, 3, 4, 2, 1)
        arranged = values.permute(groups_first)
        arranged = arranged.flatten(2, 3) if self.axis == "space" else arranged.flatten(1, 2)
        return arranged if self.maps == "each" else arranged.transpose(1, 2).flatten(2)[:, None]

    def _restore(self, values: Tensor, shape: torch.Size) -> Tensor:
        clips, _, moments, height, width = shape
        groups, positions = (moments, height * width) if self.axis == "space" else (height * width, moments)
        if self.maps == "shared":
            values = values.view(clips, positions, groups, -1).transpose(1, 2)
        if self.axis == "space":
            return values.reshape(clips, moments, height, width, -1).permute(0, 4, 1, 2, 3)
        return values.reshape(clips, height, width, moments, -1).permute(0, 4, 3, 1, 2)


class SpatioTemporalAttention(nn.Module):
    """``p = f + gamma (s(f) + d(f))`` (equation 3): features, and what attention over space and over time adds.

    Args:
        channels: Of the features.
        gamma: Start of the learnt factor.
        compression: See :class:`AxisAttention`.
        compress_values: See :class:`AxisAttention`.
        maps: See :class:`AxisAttention`.
    """

    def __init__(self, channels: int, *, gamma: float, compression: int, compress_values: bool, maps: Maps) -> None:
        super().__init__()
        self.space = AxisAttention(
            channels, "space", compression=compression, compress_values=compress_values, maps=maps
        )
        self.time = AxisAttention(channels, "time", compression=compression, compress_values=compress_values, maps=maps)
        self.gamma = nn.Parameter(torch.tensor(gamma))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (clips, channels, moments, height, width) to the same shape."""
        result: Tensor = features + self.gamma * (self.space(features) + self.time(features))
        return result
