"""Scoring classes: WAR, the share of clips decided rightly, and UAR, the mean recall of the classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from eri.metrics import DRAWS, Floats
from eri.recognition import (
    Recognition,
    confusion_matrix,
    cross_entropy,
    decide,
    mean_recall,
    recalls_of,
    recognize,
    resampled_recalls,
)
from eri.scoring.base import Resampled, Scorer, Validation


@dataclass(frozen=True)
class ClassificationScorer(Scorer):
    """Scores class probabilities; the likeliest class of a clip is the decision.

    Epochs are compared by WAR, those that tie by UAR, and those that tie again by the smaller cross-entropy.

    Examples:
        >>> scorer = ClassificationScorer(("calm", "angry"))
        >>> truth = np.eye(2)[[0, 0, 1]]
        >>> [scorer.validate(np.eye(2)[chosen], truth).score for chosen in ([0, 0, 1], [0, 0, 0])]
        [1.0, 0.6666666666666666]
    """

    metric: ClassVar[str] = Recognition.metric
    described: ClassVar[str] = "WAR, the share of clips decided rightly"
    column: ClassVar[str] = "val_war"
    averaged_as: ClassVar[str] = "UAR"

    def score(self, predictions: ArrayLike, labels: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Recognition:
        """See :meth:`Scorer.score`; labels are one-hot."""
        return recognize(predictions, labels, self.names, draws=draws, seed=seed)

    def validate(self, predictions: Floats, labels: Floats) -> Validation:
        """See :meth:`Scorer.validate`; labels are one-hot."""
        confusion = confusion_matrix(decide(labels), decide(predictions), len(self.names))
        recalls, war = recalls_of(confusion), float(np.trace(confusion) / len(labels))
        loss = cross_entropy(predictions, labels)
        return Validation(recalls, loss, war, war, (float(mean_recall(recalls)), -loss))

    def columns(self, result: Validation) -> Mapping[str, float | None]:
        """Return WAR, UAR and the recall of each class."""
        return {self.column: result.figure, "val_uar": result.ties[0], **self.label_columns(result)}

    def resample(
        self, predictions: Floats, labels: Floats, *, draws: int, seed: int, subjects: Sequence[str] | None = None
    ) -> Resampled:
        """See :meth:`Scorer.resample`; the figure over all clips is WAR."""
        confusion = confusion_matrix(decide(labels), decide(predictions), len(self.names))
        drawn = resampled_recalls(predictions, labels, draws=draws, seed=seed, subjects=subjects)
        return Resampled(recalls_of(confusion), drawn.recalls, (float(np.trace(confusion) / len(labels)), drawn.war))

    def averaged(self, drawn: Floats) -> Floats:
        """Average over the classes that a draw has clips of."""
        return mean_recall(drawn)
