"""Which epoch is the best, and when to stop waiting for a better one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eri.metrics import Floats, pearson


@dataclass(frozen=True)
class Validation:
    """The scores of the whole validation split after one epoch.

    Attributes:
        pearson: One figure a label; NaN where it is undefined.
        mse: Mean squared error.
        mean: The official figure; None when a label's is undefined.
        score: What epochs are compared by, see :func:`validate`.
    """

    pearson: Floats
    mse: float
    mean: float | None
    score: float


def validate(predictions: Floats, labels: Floats) -> Validation:
    """Score one epoch.

    Epochs are compared by the official mean Pearson. Where that is undefined, the rule is: labels that do not vary in
    the split are left out for every epoch alike; each *prediction* column that is constant costs 2, so that an
    epoch with fewer of them always wins; when no label varies, the smaller squared error wins.

    Args:
        predictions: (clips, labels) over the whole split.
        labels: The same shape.

    Examples:
        >>> truth = np.array([[0.0, 1.0], [1.0, 1.0], [0.5, 1.0]])
        >>> result = validate(truth * 0.5, truth)
        >>> result.mean, round(result.score, 6)
        (None, 1.0)
    """
    values = pearson(predictions, labels)
    mse = float(np.mean((predictions - labels) ** 2))
    judged = values[np.ptp(labels, axis=0) > 0]
    defined = judged[np.isfinite(judged)]
    if len(judged) == 0:
        score = -mse
    else:
        score = (float(defined.mean()) if len(defined) else 0.0) - 2.0 * (len(judged) - len(defined))
    mean = float(values.mean()) if np.isfinite(values).all() else None
    return Validation(values, mse, mean, score)


@dataclass
class Best:
    """The best epoch so far.

    Attributes:
        epoch: Counted from 1; 0 before the first.
        score: Of that epoch.
        mean: Its official figure; None where undefined.
    """

    epoch: int = 0
    score: float = -np.inf
    mean: float | None = None

    def update(self, epoch: int, result: Validation) -> bool:
        """Take over an epoch if it is strictly better; return whether it was."""
        if result.score <= self.score:
            return False
        self.epoch, self.score, self.mean = epoch, result.score, result.mean
        return True
