"""The sparse centre loss: features are drawn to the centre of their class, each dimension as much as it matters.

Singh et al. (2023, equation 4) take it from Farzaneh & Qi (2021, "Facial expression recognition in the wild via deep
attentive center loss", equation 5).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from eri.config.video_r2plus1d import CentersConfig


class SparseCenters(nn.Module):
    """A centre for each class, and the weights of a clip's dimensions in its distance to them.

    Args:
        dimension: Length of the features.
        context: Length of what the weights are made from.
        classes: Number of centres. They start at zero, so that no class is set apart by chance.
        config: What the paper leaves open.
    """

    centers: Tensor

    def __init__(self, dimension: int, context: int, classes: int, config: CentersConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((context, *config.context_widths)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.attention = nn.Sequential(*layers, nn.Linear(config.context_widths[-1], 2 * dimension))
        start = torch.zeros(classes, dimension)
        if config.center_update == "gradient":
            self.centers = nn.Parameter(start)
        else:
            self.register_buffer("centers", start)

    def forward(self, context: Tensor) -> Tensor:
        """Return the weight of each dimension, in (0, 1): the second share of a softmax over two.

        Args:
            context: (clips, context).

        Returns:
            (clips, dimension).
        """
        pairs: Tensor = self.attention(context)
        return torch.softmax(pairs.view(len(pairs), 2, -1), dim=1)[:, 1]

    def loss(self, features: Tensor, weights: Tensor, classes: Tensor) -> Tensor:
        """Return the weighted distance of features to their centres, not yet multiplied by ``center_weight``.

        ``sum_n sum_d w |f - c|^q``; halved for q = 2, as centre losses are (Wen et al. 2016, equation 2). While
        training, running centres move afterwards.

        Args:
            features: (clips, dimension).
            weights: Of :meth:`forward`, the same shape.
            classes: int64 (clips,).
        """
        features, weights = features.float(), weights.float()
        # Running centres change in place below; the gradient must see those of now.
        distance = features - self.centers[classes].clone()
        powered = distance.abs() if self.config.center_exponent == 1 else distance.square() / 2
        per_clip = (weights * powered).sum(dim=1)
        if self.training and self.config.center_update == "running":
            self._follow(features.detach(), weights.detach(), classes)
        if self.config.center_reduction == "sum":
            return per_clip.sum()
        return per_clip.mean() / (features.shape[1] if self.config.center_reduction == "mean" else 1)

    @torch.no_grad()
    def _follow(self, features: Tensor, weights: Tensor, classes: Tensor) -> None:
        """Move each centre towards the features of its class (Wen et al. 2016, equation 4, weighted as the loss is)."""
        pull = torch.zeros_like(self.centers).index_add_(0, classes, weights * (features - self.centers[classes]))
        counts = torch.bincount(classes, minlength=len(self.centers))[:, None]
        self.centers += self.config.center_rate * pull / (1 + counts)
