"""The parts of CEFLNet (Liu et al. 2022, section 3): self-attention, local-global relation, emotional activation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """SAL, eq. 1: the frames of one piece look at each other.

    ``f' = softmax(Q Kᵀ / √d) V`` with ``Q``, ``K`` and ``V`` linear in the frames' features.

    Args:
        dimension: Length ``d`` of one frame's features.
        residual: Add the input to the output.
    """

    def __init__(self, dimension: int, *, residual: bool = False) -> None:
        super().__init__()
        self.query = nn.Linear(dimension, dimension)
        self.key = nn.Linear(dimension, dimension)
        self.value = nn.Linear(dimension, dimension)
        self.residual = residual

    def forward(self, frames: Tensor) -> Tensor:
        """Return as many features as there are frames.

        Args:
            frames: (pieces, frames, dimension).
        """
        scores = self.query(frames) @ self.key(frames).transpose(1, 2) / math.sqrt(frames.shape[2])
        attended: Tensor = torch.softmax(scores, dim=2) @ self.value(frames)
        return attended + frames if self.residual else attended


class LocalGlobalRelation(nn.Module):
    """LRL, eq. 2 and 3: one vector a piece, from frames weighted by their relation to the whole piece.

    ``w_k = σ([f̂' : f'_k]ᵀ q⁰)`` and ``R = (Σ w_k f'_k / Σ w_k) q¹``, where ``f̂'`` is pooled over the frames.

    Args:
        dimension: Length of one frame's features, and of the vector.
        pooling: How ``f̂'`` is pooled.
    """

    def __init__(self, dimension: int, pooling: Literal["mean", "max"] = "mean") -> None:
        super().__init__()
        self.relation = nn.Linear(2 * dimension, 1)
        self.projection = nn.Linear(dimension, dimension)
        self.pooling = pooling

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors, (pieces, dimension), and the weights of the frames on (0, 1), (pieces, frames).

        Args:
            frames: (pieces, frames, dimension).
        """
        whole = frames.mean(dim=1, keepdim=True) if self.pooling == "mean" else frames.amax(dim=1, keepdim=True)
        weights = torch.sigmoid(self.relation(torch.cat([whole.expand_as(frames), frames], dim=2)))
        mean = (weights * frames).sum(dim=1) / weights.sum(dim=1)
        return self.projection(mean), weights.squeeze(2)


class EmotionalActivation(nn.Module):
    """EIAN, eq. 4 to 8: where in a video emotion is expressed, and the video as those pieces show it.

    Convolutions over the sequence of pieces score each; a softmax over the pieces makes the scores activation weights
    ``A`` (eq. 5). The activation map is ``M = A · V`` (eq. 7), the representation its maximum over pieces (eq. 8).
    The piece of largest weight is the located one (eq. 6).

    Args:
        dimension: Length of one piece's vector.
        channels: Widths of the hidden convolutions, each followed by a ReLU.
        kernel: Pieces that one hidden convolution sees; the last sees one.
        maps: Activation maps: 1, or one a label.
    """

    def __init__(self, dimension: int, channels: Sequence[int], kernel: int, maps: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = dimension
        for channel in channels:
            layers += [nn.Conv1d(width, channel, kernel, padding=kernel // 2), nn.ReLU()]
            width = channel
        self.scores = nn.Sequential(*layers, nn.Conv1d(width, maps, 1))

    def forward(self, pieces: Tensor) -> tuple[Tensor, Tensor]:
        """Return the representations, (videos, maps, dimension), and the weights, (videos, maps, pieces).

        Args:
            pieces: (videos, pieces, dimension).
        """
        weights = torch.softmax(self.scores(pieces.transpose(1, 2)), dim=2)
        activation = weights[..., None] * pieces[:, None]
        return activation.amax(dim=2), weights


def complement_loss(raw: Tensor, targets: Tensor) -> Tensor:
    """Return the second term of eq. 11, ``-Σ (1 - Y) log(1 - p)``, the mean over videos.

    Args:
        raw: Logits, (videos, labels).
        targets: Probabilities, (videos, labels).
    """
    logits = raw.float()
    # log(1 - p_j) without the loss of digits when p_j is near one: the others' sum over the whole sum.
    others = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    rest = logits[:, None, :].masked_fill(others, -torch.inf).logsumexp(dim=2) - logits.logsumexp(dim=1, keepdim=True)
    return -((1 - targets) * rest).sum(dim=1).mean()
