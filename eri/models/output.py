"""How a head's raw output becomes intensities within the task's range."""

from __future__ import annotations

import torch
from torch import Tensor

from eri.tasks import Activation


def bound(raw: Tensor, activation: Activation, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Map raw outputs to intensities.

    Args:
        raw: (clips, labels), unbounded.
        activation: ``sigmoid`` bounds each label to [low, high]; ``softmax`` shares the range out among the labels
            (drawn in fig. 3 of Qian et al. 2023); ``linear`` leaves them as they are.
        low: Smallest legal label value.
        high: Largest legal label value.

    Returns:
        (clips, labels).

    Examples:
        >>> bound(torch.tensor([[0.0, 0.0]]), "sigmoid", -1.0, 1.0).tolist()
        [[0.0, 0.0]]
        >>> bound(torch.tensor([[3.0, 3.0]]), "softmax").tolist()
        [[0.5, 0.5]]
    """
    if activation == "linear":
        return raw
    share = torch.sigmoid(raw) if activation == "sigmoid" else torch.softmax(raw, dim=1)
    return low + (high - low) * share
