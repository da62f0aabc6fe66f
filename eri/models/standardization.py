"""Standardisation of features: zero mean and unit deviation, carried with the weights of the model that needs it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_RESOLUTION = 1e-6
"""A deviation below this share of the mean is float32 rounding, not signal (float32 resolves 6e-8)."""


class Standardizer(nn.Module):
    """Map each feature x to (x - mean) / scale (Qian et al. 2023, eq. 3).

    The statistics are buffers, so they are saved and loaded with the weights. A new one leaves features unchanged.

    Args:
        dimension: Length of one embedding.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("scale", torch.ones(dimension))

    def set_statistics(self, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> None:
        """Take over statistics, each (dimension,).

        A feature that does not vary is centred and not scaled: dividing by nothing would blow up rounding errors.
        """
        flat = deviation <= _RESOLUTION * np.abs(mean)
        scale = np.where(flat, 1.0, deviation)
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(scale))

    def forward(self, values: Tensor) -> Tensor:
        """Standardise values of shape (..., dimension)."""
        return (values - self.mean).div_(self.scale)
