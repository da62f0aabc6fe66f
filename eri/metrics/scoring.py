"""Scoring predictions by their task: intensities by Pearson's correlation, classes by WAR and UAR."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from eri.config.tasks import TaskKind
from eri.metrics.bootstrap import RESAMPLES
from eri.metrics.intensities import Floats, Metrics, pearson, resample_pearson, score
from eri.metrics.recognition import (
    Recognition,
    count_decisions,
    cross_entropy,
    mean_recall,
    recalls_of,
    recognize,
    resample_recalls,
)

Scores = Metrics | Recognition
"""Of any task: clips, score, interval, remark, lines and to_json are common to both."""


@dataclass(frozen=True)
class Validation:
    """The scores of a whole validation split after one epoch."""

    labels: Floats  # (labels,); NaN where undefined
    loss: float
    figure: float | None  # what the run is ranked by; None where undefined
    score: float  # what epochs are compared by
    ties: tuple[float, ...] = ()  # what epochs of equal score are compared by, one value after the other


@dataclass(frozen=True, eq=False)
class Resampled:
    """Scores of some predictions, and of resamples of their clips; ``overall`` is over all clips, where a task has it.

    Shapes: ``labels`` (labels,), NaN where undefined; ``resampled`` (labels, resamples); in ``overall``, (resamples,).
    """

    labels: Floats
    resampled: Floats
    overall: tuple[float, Floats] | None = None


@dataclass(frozen=True)
class Scorer(ABC):
    """Scores predictions of one task; predictions and labels are (clips, labels), finite.

    ``metric`` is the short name of what systems are ranked by, ``described`` its words, ``column`` its column in
    ``history.csv``, and ``averaged_as`` the name of the mean of the labels' scores.
    """

    names: tuple[str, ...]
    metric: ClassVar[str]
    described: ClassVar[str]
    column: ClassVar[str]
    averaged_as: ClassVar[str]

    @abstractmethod
    def score(self, predictions: ArrayLike, labels: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> Scores:
        """Score predictions with everything that is reported of them; ``resamples=0`` leaves the intervals out."""

    @abstractmethod
    def validate(self, predictions: Floats, labels: Floats) -> Validation:
        """Score one epoch over a whole split."""

    @abstractmethod
    def columns(self, result: Validation) -> Mapping[str, float | None]:
        """Return the columns of ``history.csv`` that a validation fills beside its loss."""

    @abstractmethod
    def resample(
        self, predictions: Floats, labels: Floats, *, resamples: int, seed: int, subjects: Sequence[str] | None = None
    ) -> Resampled:
        """Score resamples of the clips or of their subjects, the same ones for any predictions of the same clips."""

    @abstractmethod
    def averaged(self, resampled: Floats) -> Floats:
        """Average the labels' scores of each resample, (labels, resamples), to (resamples,)."""

    def _label_columns(self, result: Validation) -> dict[str, float | None]:
        pairs = zip(self.names, result.labels.tolist(), strict=True)
        return {name: value if np.isfinite(value) else None for name, value in pairs}


class RegressionScorer(Scorer):
    """Scores intensities by the Pearson of each label and their mean."""

    metric: ClassVar[str] = Metrics.metric
    described: ClassVar[str] = "mean Pearson correlation"
    column: ClassVar[str] = "val_pearson"
    averaged_as: ClassVar[str] = "mean"

    def score(self, predictions: ArrayLike, labels: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> Metrics:
        """See :func:`eri.metrics.intensities.score`."""
        return score(predictions, labels, self.names, resamples=resamples, seed=seed)

    def validate(self, predictions: Floats, labels: Floats) -> Validation:
        """Score one epoch by the official mean Pearson.

        Where that is undefined, the rule is: labels that do not vary in the split are left out for every epoch alike;
        each *prediction* column that is constant costs 2, so that an epoch with fewer of them always wins; when no
        label varies, the smaller squared error wins.

        >>> truth = np.array([[0.0, 1.0], [1.0, 1.0], [0.5, 1.0]])
        >>> result = RegressionScorer(("Fear", "Joy")).validate(truth * 0.5, truth)
        >>> result.figure, round(result.score, 6)
        (None, 1.0)
        """
        values = pearson(predictions, labels)
        mse = float(np.mean((predictions - labels) ** 2))
        varying = values[np.ptp(labels, axis=0) > 0]
        defined = varying[np.isfinite(varying)]
        compared = (float(defined.mean()) if len(defined) else 0.0) - 2.0 * (len(varying) - len(defined))
        mean = float(values.mean()) if np.isfinite(values).all() else None
        return Validation(values, mse, mean, compared if len(varying) else -mse)

    def columns(self, result: Validation) -> Mapping[str, float | None]:
        """Return the mean Pearson and each label's."""
        return {self.column: result.figure, **self._label_columns(result)}

    def resample(
        self, predictions: Floats, labels: Floats, *, resamples: int, seed: int, subjects: Sequence[str] | None = None
    ) -> Resampled:
        """See :func:`eri.metrics.intensities.resample_pearson`."""
        resampled = resample_pearson(predictions, labels, resamples=resamples, seed=seed, subjects=subjects)
        return Resampled(pearson(predictions, labels), resampled)

    def averaged(self, resampled: Floats) -> Floats:
        """Average over the labels; a resample in which one is undefined has no mean."""
        result: Floats = resampled.mean(axis=0)
        return result


class ClassificationScorer(Scorer):
    """Scores class probabilities against one-hot labels; the likeliest class of a clip is the decision.

    Epochs are compared by WAR, those that tie by UAR, and those that tie again by the smaller cross-entropy.

    >>> scorer = ClassificationScorer(("calm", "angry"))
    >>> truth = np.eye(2)[[0, 0, 1]]
    >>> [scorer.validate(np.eye(2)[chosen], truth).score for chosen in ([0, 0, 1], [0, 0, 0])]
    [1.0, 0.6666666666666666]
    """

    metric: ClassVar[str] = Recognition.metric
    described: ClassVar[str] = "WAR, the share of clips decided rightly"
    column: ClassVar[str] = "val_war"
    averaged_as: ClassVar[str] = "UAR"

    def score(
        self, predictions: ArrayLike, labels: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0
    ) -> Recognition:
        """See :func:`eri.metrics.recognition.recognize`."""
        return recognize(predictions, labels, self.names, resamples=resamples, seed=seed)

    def validate(self, predictions: Floats, labels: Floats) -> Validation:
        """Score the recall of each class and WAR."""
        recalls, war = self._recalls(predictions, labels)
        loss = cross_entropy(predictions, labels)
        return Validation(recalls, loss, war, war, (float(mean_recall(recalls)), -loss))

    def columns(self, result: Validation) -> Mapping[str, float | None]:
        """Return WAR, UAR and the recall of each class."""
        return {self.column: result.figure, "val_uar": result.ties[0], **self._label_columns(result)}

    def resample(
        self, predictions: Floats, labels: Floats, *, resamples: int, seed: int, subjects: Sequence[str] | None = None
    ) -> Resampled:
        """See :func:`eri.metrics.recognition.resample_recalls`; the score over all clips is WAR."""
        recalls, war = self._recalls(predictions, labels)
        wars, resampled = resample_recalls(predictions, labels, resamples=resamples, seed=seed, subjects=subjects)
        return Resampled(recalls, resampled, (war, wars))

    def averaged(self, resampled: Floats) -> Floats:
        """Average over the classes that a resample has clips of."""
        return mean_recall(resampled)

    def _recalls(self, predictions: Floats, labels: Floats) -> tuple[Floats, float]:
        confusion = count_decisions(predictions, labels)
        return recalls_of(np.diagonal(confusion), confusion.sum(axis=1)), float(np.trace(confusion) / confusion.sum())


def create_scorer(kind: TaskKind, names: Sequence[str]) -> Scorer:
    """Return what scores the predictions of a task with these labels, or classes.

    >>> create_scorer("classification", ["calm", "angry"]).score([[0.9, 0.1]], [[1, 0]], resamples=0).score
    1.0
    """
    return (ClassificationScorer if kind == "classification" else RegressionScorer)(tuple(names))
