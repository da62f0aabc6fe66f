"""Scoring intensities: mean Pearson, the official figure of the challenges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from eri.metrics import DRAWS, Floats, Metrics, pearson, resampled_pearson, score
from eri.scoring.base import Resampled, Scorer, Validation


def validate_intensities(predictions: Floats, labels: Floats) -> Validation:
    """Score one epoch of intensities.

    Epochs are compared by the official mean Pearson. Where that is undefined, the rule is: labels that do not vary in
    the split are left out for every epoch alike; each *prediction* column that is constant costs 2, so that an
    epoch with fewer of them always wins; when no label varies, the smaller squared error wins.

    Args:
        predictions: (clips, labels) over the whole split.
        labels: The same shape.

    Examples:
        >>> truth = np.array([[0.0, 1.0], [1.0, 1.0], [0.5, 1.0]])
        >>> result = validate_intensities(truth * 0.5, truth)
        >>> result.figure, round(result.score, 6)
        (None, 1.0)
    """
    values = pearson(predictions, labels)
    mse = float(np.mean((predictions - labels) ** 2))
    judged = values[np.ptp(labels, axis=0) > 0]
    defined = judged[np.isfinite(judged)]
    if len(judged) == 0:
        compared = -mse
    else:
        compared = (float(defined.mean()) if len(defined) else 0.0) - 2.0 * (len(judged) - len(defined))
    mean = float(values.mean()) if np.isfinite(values).all() else None
    return Validation(values, mse, mean, compared)


@dataclass(frozen=True)
class RegressionScorer(Scorer):
    """Scores intensities by the Pearson of each label and their mean."""

    metric: ClassVar[str] = Metrics.metric
    described: ClassVar[str] = "mean Pearson correlation"
    column: ClassVar[str] = "val_pearson"
    averaged_as: ClassVar[str] = "mean"

    def score(self, predictions: ArrayLike, labels: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Metrics:
        """See :meth:`Scorer.score`."""
        return score(predictions, labels, self.names, draws=draws, seed=seed)

    def validate(self, predictions: Floats, labels: Floats) -> Validation:
        """See :func:`validate_intensities`."""
        return validate_intensities(predictions, labels)

    def columns(self, result: Validation) -> Mapping[str, float | None]:
        """Return the mean Pearson and each label's."""
        return {self.column: result.figure, **self.label_columns(result)}

    def resample(
        self, predictions: Floats, labels: Floats, *, draws: int, seed: int, subjects: Sequence[str] | None = None
    ) -> Resampled:
        """See :meth:`Scorer.resample`."""
        drawn = resampled_pearson(predictions, labels, draws=draws, seed=seed, subjects=subjects)
        return Resampled(pearson(predictions, labels), drawn)

    def averaged(self, drawn: Floats) -> Floats:
        """Average over the labels; a draw in which one is undefined has no mean."""
        result: Floats = drawn.mean(axis=0)
        return result
