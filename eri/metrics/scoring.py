"""Scoring predictions by their task: intensities by Pearson's correlation, classes by WAR and UAR."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike

from eri.config.tasks import TaskKind
from eri.metrics.intensities import DRAWS, Figure, Floats, Interval, Metrics, pearson, resampled_pearson, score
from eri.metrics.recognition import (
    Recognition,
    confusion_matrix,
    cross_entropy,
    decide,
    mean_recall,
    recalls_of,
    recognize,
    resampled_recalls,
)


class Scores(Protocol):
    """What the scores of any kind of task have in common.

    Attributes:
        metric: Short name of ``figure``.
        heading: What a table writes over the values of its lines.
    """

    metric: ClassVar[str]
    heading: ClassVar[str]

    @property
    def clips(self) -> int:
        """Clips scored."""
        ...

    @property
    def figure(self) -> float | None:
        """What systems are ranked by; None where it is undefined."""
        ...

    @property
    def interval(self) -> Interval | None:
        """Bootstrap interval of the figure; None where there is none."""
        ...

    @property
    def remark(self) -> str:
        """What the figure lacks; empty where it lacks nothing."""
        ...

    def figures(self) -> list[Figure]:
        """Return the lines of a table: one a label, then what sums them up."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        ...


@dataclass(frozen=True)
class Validation:
    """The scores of a whole validation split after one epoch.

    Attributes:
        labels: One figure a label, (labels,); NaN where it is undefined.
        loss: What a smaller value of is better.
        figure: What the run is ranked by; None where it is undefined.
        score: What epochs are compared by.
        ties: What epochs of one score are compared by, one value after the other.
    """

    labels: Floats
    loss: float
    figure: float | None
    score: float
    ties: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Resampled:
    """Figures of some predictions, and of resamples of their clips.

    Attributes:
        labels: Figure of each label, (labels,); NaN where it is undefined.
        drawn: The same of each resample, (labels, draws).
        overall: Figure over all clips, and that of each resample, (draws,); None where the task has none.
    """

    labels: Floats
    drawn: Floats
    overall: tuple[float, Floats] | None = None


@dataclass(frozen=True)
class Scorer(ABC):
    """Scores predictions of one task.

    Attributes:
        names: The labels, or the classes.
        metric: Short name of the figure that systems are ranked by.
        described: The same in words.
        column: What ``history.csv`` calls it.
        averaged_as: What the mean of the labels' figures is called.
    """

    names: tuple[str, ...]
    metric: ClassVar[str]
    described: ClassVar[str]
    column: ClassVar[str]
    averaged_as: ClassVar[str]

    @abstractmethod
    def score(self, predictions: ArrayLike, labels: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Scores:
        """Score predictions with everything that is reported of them.

        Args:
            predictions: (clips, labels), finite.
            labels: The same shape.
            draws: Bootstrap resamples; 0 leaves the intervals out.
            seed: Of the bootstrap.
        """

    @abstractmethod
    def validate(self, predictions: Floats, labels: Floats) -> Validation:
        """Score one epoch.

        Args:
            predictions: (clips, labels) over the whole split.
            labels: The same shape.
        """

    @abstractmethod
    def columns(self, result: Validation) -> Mapping[str, float | None]:
        """Return what ``history.csv`` shows of a validation beside its loss."""

    @abstractmethod
    def resample(
        self, predictions: Floats, labels: Floats, *, draws: int, seed: int, subjects: Sequence[str] | None = None
    ) -> Resampled:
        """Score resamples of the clips, or of their subjects; any predictions of the same clips meet the same ones."""

    @abstractmethod
    def averaged(self, drawn: Floats) -> Floats:
        """Average the labels' figures of each resample, (labels, draws), to (draws,)."""

    def label_columns(self, result: Validation) -> dict[str, float | None]:
        """Return the figure of each label by its name; None where it is undefined."""
        pairs = zip(self.names, result.labels.tolist(), strict=True)
        return {name: None if value != value else value for name, value in pairs}


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


def create_scorer(kind: TaskKind, names: Sequence[str]) -> Scorer:
    """Return what scores the predictions of a task.

    Args:
        kind: Of the task.
        names: Its labels, or its classes.

    Examples:
        >>> create_scorer("classification", ["calm", "angry"]).score([[0.9, 0.1]], [[1, 0]], draws=0).figure
        1.0
    """
    return (ClassificationScorer if kind == "classification" else RegressionScorer)(tuple(names))
