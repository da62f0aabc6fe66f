"""An image backbone inside a model: images become embeddings as part of it, so that the backbone learns too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from eri.config import FinetuneConfig
from eri.models.sequences import Sequences


class ImageEncoder(nn.Module):
    """Embed the face crops of clips, one row per crop, by a backbone from (n, 3, side, side) to (n, dimension).

    ``mean`` and ``std`` normalise each channel of an image on [0, 1]. In training all crops of a clip are brightened by
    one factor, drawn uniformly from [1, brightness] (Qian et al. 2023, section 3.2: up to 150 %); None leaves them as
    they are.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        dimension: int,
        mean: Sequence[float],
        std: Sequence[float],
        config: FinetuneConfig,
        brightness: float | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.dimension = dimension
        self.config = config
        self.brightness = brightness
        self.register_buffer("mean", 255.0 * torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255.0 * torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Switch to training, which leaves batch normalisation alone where the config freezes it."""
        super().train(mode)
        if self.config.freeze_norm:
            for module in self.backbone.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, sequences: Sequences) -> Sequences:
        """Embed the valid rows of values that are uint8 RGB (clips, rows, side, side, 3)."""
        images, mask = sequences.values[sequences.mask], sequences.mask
        factors = self._factors(sequences)
        parts = []
        for first in range(0, len(images), self.config.pictures):
            chosen = slice(first, first + self.config.pictures)
            part = (images[chosen], None if factors is None else factors[chosen])
            if self.config.checkpoint and torch.is_grad_enabled():
                parts.append(checkpoint(self._embed, *part, use_reentrant=False))
            else:
                parts.append(self._embed(*part))
        rows = torch.cat(parts).float() if parts else self.mean.new_zeros((0, self.dimension))
        values = rows.new_zeros((*mask.shape, self.dimension)).index_put((mask,), rows)
        return Sequences(values, mask, sequences.times)

    def _factors(self, sequences: Sequences) -> Tensor | None:
        """Draw a factor per clip; return it for every valid row, (valid rows,)."""
        if self.brightness is None or not self.training:
            return None
        drawn = 1 + (self.brightness - 1) * torch.rand(len(sequences.mask), device=sequences.mask.device)
        return drawn[:, None].expand(sequences.mask.shape)[sequences.mask]

    def _embed(self, images: Tensor, factors: Tensor | None) -> Tensor:
        inputs = images.permute(0, 3, 1, 2).to(self.mean.dtype)
        if factors is not None:
            inputs = (inputs * factors[:, None, None, None]).clamp(max=255)
        inputs = ((inputs - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        embedded: Tensor = self.backbone(inputs)
        return embedded
