"""Scores of recognised classes: WAR, UAR, the recall of each class, the confusion matrix, bootstrap intervals.

WAR (weighted average recall) is the share of clips whose class was decided correctly: their accuracy. UAR (unweighted
average recall) is the plain mean of the recalls of all classes that the truth holds. Equation 8 of paper 001 prints the
UAR of two classes, ``TP / (TP + FN) * 0.5 + TN / (TN + FP) * 0.5``: the same mean where there are two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eri.metrics.bootstrap import LEVEL, RESAMPLES, Bootstrap, Interval, percentile_interval, score_resamples
from eri.metrics.intensities import Floats, ScoreLine, checked

_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Recall:
    """How well one class is recognised.

    Attributes:
        recall: Share of its clips that were decided correctly; None where it has no clip.
        interval: Bootstrap interval of ``recall``; None where the class is missing from most resamples.
        clips: Number of clips of the class.
        decided: Number of clips that were decided to be of the class.
        reason: Why ``recall`` is None.
    """

    recall: float | None
    interval: Interval | None
    clips: int
    decided: int
    reason: str | None = None


@dataclass(frozen=True)
class Recognition:
    """The scores of one set of class probabilities.

    Attributes:
        clips: Number of clips scored.
        classes: A score for each class, in the task's order.
        war: Share of clips decided correctly (accuracy).
        war_interval: Bootstrap interval of ``war``.
        uar: Mean recall over the classes that have clips.
        uar_interval: Bootstrap interval of ``uar``; a resample without a class is scored over the others.
        confusion: Clips by class (rows) and decision (columns), in the task's order.
        absent: Names of the classes without clips; they are left out of UAR.
        cross_entropy: Mean of -log of the probability of the right class, in nats.
        bootstrap: How the intervals were made; a resample that lacks a class is degenerate.
        metric: Short name of what systems are ranked by.
        heading: Column heading of the values of :meth:`lines`; UAR and WAR are recalls too.
    """

    metric: ClassVar[str] = "WAR"
    heading: ClassVar[str] = "recall"

    clips: int
    classes: dict[str, Recall]
    war: float
    war_interval: Interval | None
    uar: float
    uar_interval: Interval | None
    confusion: tuple[tuple[int, ...], ...]
    absent: tuple[str, ...]
    cross_entropy: float
    bootstrap: Bootstrap

    @property
    def score(self) -> float | None:
        """What systems are ranked by: WAR."""
        return self.war

    @property
    def interval(self) -> Interval | None:
        """Bootstrap interval of the score."""
        return self.war_interval

    @property
    def remark(self) -> str:
        """Which classes UAR leaves out."""
        return f"without clips: {', '.join(self.absent)}" if self.absent else ""

    def lines(self) -> list[ScoreLine]:
        """Return the lines of a table: the recall of each class, UAR and WAR."""
        own = self.classes.items()
        return [
            *(ScoreLine(name, of.recall, of.interval, of.reason or f"{of.clips} clips") for name, of in own),
            ScoreLine("UAR", self.uar, self.uar_interval, self.remark),
            ScoreLine("WAR", self.war, self.war_interval),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; what is undefined is null, with its reason beside it."""
        return {**asdict(self), "confusion": [list(row) for row in self.confusion], "absent": list(self.absent)}


def decide(probabilities: ArrayLike) -> NDArray[np.int64]:
    """Return the index of the likeliest class of each clip; of classes that tie, the first.

    >>> decide([[0.2, 0.8], [0.5, 0.5]]).tolist()
    [1, 0]
    """
    return np.asarray(np.argmax(np.asarray(probabilities), axis=1), dtype=np.int64)


def count_decisions(probabilities: ArrayLike, labels: ArrayLike) -> NDArray[np.int64]:
    """Return the confusion matrix: clips by class (rows) and decision (columns), (classes, classes).

    Raises ValueError as :func:`recognize` does.

    >>> count_decisions([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]], [[1, 0], [1, 0], [0, 1]]).tolist()
    [[1, 1], [0, 1]]
    """
    from sklearn.metrics import confusion_matrix

    values, truth = _checked(probabilities, labels)
    return np.asarray(confusion_matrix(decide(truth), decide(values), labels=range(truth.shape[1])), dtype=np.int64)


def recalls_of(found: ArrayLike, clips: ArrayLike) -> Floats:
    """Divide clips that were found by all clips of a class; NaN where a class has none."""
    counts = np.asarray(clips, dtype=np.float64)
    result = np.full(counts.shape, np.nan)
    np.divide(found, counts, out=result, where=counts > 0)
    return result


def mean_recall(recalls: Floats) -> Floats:
    """Average recalls, (classes, ...), over the classes where they are defined; NaN where none is."""
    defined = np.isfinite(recalls)
    return recalls_of(np.where(defined, recalls, 0.0).sum(axis=0), defined.sum(axis=0))


def cross_entropy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean of -log of the probability of the right class, in nats; one under 1e-12 counts as that."""
    values, truth = _checked(probabilities, labels)
    right = values[np.arange(len(values)), decide(truth)]
    return float(-np.log(np.clip(right, _LEAST_PROBABILITY, 1.0)).mean())


def recognize(
    probabilities: ArrayLike, labels: ArrayLike, names: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> Recognition:
    """Score probabilities and one-hot labels, (clips, classes), with all that is reported of them.

    The largest probability decides; 0 resamples leave the intervals out. Raises ValueError where shapes do not fit, a
    value is not finite, labels are not one-hot, there is no clip, or ``resamples`` is negative.

    >>> result = recognize([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [[1, 0], [0, 1], [0, 1]], ["calm", "angry"])
    >>> round(result.war, 3), result.uar, result.confusion
    (0.667, 0.75, ((1, 0), (1, 1)))
    """
    confusion = count_decisions(probabilities, labels)
    if len(confusion) != len(names):
        raise ValueError(f"{len(names)} names for {len(confusion)} classes")
    clips, decided = confusion.sum(axis=1), confusion.sum(axis=0)
    recalls, there = recalls_of(np.diagonal(confusion), clips), clips > 0
    war, resampled = resample_recalls(probabilities, labels, resamples=resamples, seed=seed)
    return Recognition(
        clips=int(clips.sum()),
        classes={
            name: Recall(
                recall=float(recalls[i]) if there[i] else None,
                interval=percentile_interval(resampled[i]) if there[i] else None,
                clips=int(clips[i]),
                decided=int(decided[i]),
                reason=None if there[i] else "no clip of this class",
            )
            for i, name in enumerate(names)
        },
        war=float(np.trace(confusion) / clips.sum()),
        war_interval=percentile_interval(war),
        uar=float(mean_recall(recalls)),
        uar_interval=percentile_interval(mean_recall(resampled)),
        confusion=tuple(map(tuple, confusion.tolist())),
        absent=tuple(name for name, present in zip(names, there, strict=True) if not present),
        cross_entropy=cross_entropy(probabilities, labels),
        bootstrap=Bootstrap(resamples, seed, LEVEL, int(np.isnan(resampled[there]).any(axis=0).sum())),
    )


def resample_recalls(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    subjects: Sequence[str] | None = None,
) -> tuple[Floats, Floats]:
    """Return WAR, (resamples,), and recalls, (classes, resamples), of resamples of the clips or of their subjects.

    A recall is NaN where a resample has no clip of the class. Raises ValueError as :func:`recognize` does, or where
    there are fewer than two subjects.
    """
    values, one_hot = _checked(probabilities, labels)
    right = one_hot * (decide(values) == decide(one_hot))[:, np.newaxis]

    def score(counts: Floats) -> Floats:
        clips, found = counts @ one_hot, counts @ right
        return np.vstack([recalls_of(found.sum(axis=1), clips.sum(axis=1)), recalls_of(found, clips).T])

    scores = score_resamples(score, len(values), resamples, seed, subjects)
    return scores[0], scores[1:]


def _checked(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    values, truth = checked(probabilities, labels, "probabilities", "(clips, classes)")
    if not len(values):
        raise ValueError("no clip to score")
    broken = np.flatnonzero(~(np.isin(truth, (0.0, 1.0)).all(axis=1) & (truth.sum(axis=1) == 1.0)))
    if len(broken):
        raise ValueError(f"labels: row {int(broken[0])} is not one-hot")
    return values, truth
