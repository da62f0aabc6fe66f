"""Scores of recognised classes: WAR, UAR, the recall of each class, the confusion matrix, bootstrap intervals.

WAR (weighted average recall) is the share of clips whose class was decided rightly: their accuracy. UAR (unweighted
average recall) is the plain mean of the recalls of all classes that the truth holds. Equation 8 of paper 001 prints the
UAR of two classes, ``TP / (TP + FN) * 0.5 + TN / (TN + FP) * 0.5``: the same mean where there are two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eri.metrics.bootstrap import resampled_subjects
from eri.metrics.intensities import DRAWS, LEVEL, Bootstrap, Figure, Floats, Interval, percentile_interval

Decisions = NDArray[np.int64]

_BLOCK_CLIPS = 2_000_000  # clips that one block of bootstrap draws may hold (32 MB)
_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class Recall:
    """How well one class is recognised.

    Attributes:
        recall: Share of its clips that were decided rightly; None where it has no clip.
        interval: Bootstrap interval of ``recall``; None where the class is missing from most draws.
        clips: Clips of the class.
        decided: Clips that were decided to be of the class.
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
        clips: Clips scored.
        classes: A score for each class, in the task's order.
        war: Share of clips decided rightly (accuracy).
        war_interval: Its bootstrap interval.
        uar: Mean recall over the classes that have clips.
        uar_interval: Its bootstrap interval; a draw without a class is scored over the others.
        confusion: Clips by class (rows) and decision (columns), in the task's order.
        absent: Names of the classes without clips; they are left out of UAR.
        cross_entropy: Mean of -log of the probability of the right class, in nats.
        bootstrap: How the intervals were drawn; a draw that lacks a class is degenerate.
        metric: Short name of what systems are ranked by.
        heading: What a table writes over the values of its lines; UAR and WAR are recalls too.
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
    def figure(self) -> float | None:
        """What systems are ranked by: WAR."""
        return self.war

    @property
    def interval(self) -> Interval | None:
        """Bootstrap interval of the figure."""
        return self.war_interval

    @property
    def remark(self) -> str:
        """What the figure lacks."""
        return f"without clips: {', '.join(self.absent)}" if self.absent else ""

    def figures(self) -> list[Figure]:
        """Return the lines of a table: the recall of each class, UAR and WAR."""
        lines = [
            Figure(name, score.recall, score.interval, score.reason or f"{score.clips} clips")
            for name, score in self.classes.items()
        ]
        return [
            *lines,
            Figure("UAR", self.uar, self.uar_interval, self.remark),
            Figure("WAR", self.war, self.war_interval),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; what is undefined is null, with its reason beside it."""
        return {**asdict(self), "confusion": [list(row) for row in self.confusion], "absent": list(self.absent)}


@dataclass(frozen=True, eq=False)
class ResampledRecalls:
    """Recalls of resamples of the clips.

    Attributes:
        war: (draws,).
        recalls: (classes, draws); NaN where a draw has no clip of the class.
    """

    war: Floats
    recalls: Floats

    @property
    def uar(self) -> Floats:
        """Mean recall over the classes that a draw has clips of, (draws,)."""
        return mean_recall(self.recalls)


def decide(probabilities: ArrayLike) -> Decisions:
    """Return the index of the likeliest class of each clip; of classes that tie, the first.

    Examples:
        >>> decide([[0.2, 0.8], [0.5, 0.5]]).tolist()
        [1, 0]
    """
    return np.asarray(np.argmax(np.asarray(probabilities), axis=1), dtype=np.int64)


def confusion_matrix(truth: Decisions, decisions: Decisions, classes: int) -> NDArray[np.int64]:
    """Count clips by class (rows) and decision (columns), (classes, classes).

    Examples:
        >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    counts = np.bincount(truth * classes + decisions, minlength=classes * classes)
    return np.asarray(counts.reshape(classes, classes), dtype=np.int64)


def recalls_of(confusion: NDArray[np.int64]) -> Floats:
    """Return the recall of each class, (classes,); NaN where it has no clip."""
    clips = confusion.sum(axis=1)
    result = np.full(len(clips), np.nan)
    np.divide(np.diagonal(confusion), clips, out=result, where=clips > 0)
    return result


def mean_recall(recalls: Floats) -> Floats:
    """Average recalls, (classes, ...), over the classes where they are defined; NaN where none is."""
    defined = np.isfinite(recalls)
    total = np.where(defined, recalls, 0.0).sum(axis=0)
    count = defined.sum(axis=0)
    result = np.full(np.shape(total), np.nan)
    np.divide(total, count, out=result, where=count > 0)
    return result


def cross_entropy(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean of -log of the probability of the right class, in nats; probabilities under 1e-12 count as that.

    Args:
        probabilities: (clips, classes).
        labels: One-hot, the same shape.
    """
    values, truth = _checked(probabilities, labels)
    right = values[np.arange(len(values)), decide(truth)]
    return float(-np.log(np.clip(right, _LEAST_PROBABILITY, 1.0)).mean())


def recognize(
    probabilities: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> Recognition:
    """Score class probabilities with everything that is reported of them.

    Args:
        probabilities: (clips, classes), finite; the largest decides.
        labels: One-hot, the same shape.
        names: One name a class.
        draws: Bootstrap resamples of the clips; 0 leaves the intervals out.
        seed: Of the bootstrap.
        level: Share of draws inside an interval.

    Raises:
        ValueError: Shapes that do not fit, a value that is not finite, labels that are not one-hot, no clip, or a
            negative number of draws.

    Examples:
        >>> result = recognize([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [[1, 0], [0, 1], [0, 1]], ["calm", "angry"])
        >>> round(result.war, 3), result.uar, result.confusion
        (0.667, 0.75, ((1, 0), (1, 1)))
    """
    values, truth = _checked(probabilities, labels)
    if values.shape[1] != len(names):
        raise ValueError(f"{len(names)} names for {values.shape[1]} classes")
    if draws < 0:
        raise ValueError(f"draws is {draws}; it cannot be negative")
    confusion = confusion_matrix(decide(truth), decide(values), len(names))
    recalls, clips, decided = recalls_of(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    drawn = resampled_recalls(values, truth, draws=draws, seed=seed)
    there = clips > 0
    classes = {
        name: Recall(
            recall=float(recalls[i]) if there[i] else None,
            interval=percentile_interval(drawn.recalls[i], level) if there[i] else None,
            clips=int(clips[i]),
            decided=int(decided[i]),
            reason=None if there[i] else "no clip of this class",
        )
        for i, name in enumerate(names)
    }
    return Recognition(
        clips=len(values),
        classes=classes,
        war=float(np.trace(confusion) / len(values)),
        war_interval=percentile_interval(drawn.war, level),
        uar=float(mean_recall(recalls)),
        uar_interval=percentile_interval(drawn.uar, level),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        absent=tuple(name for name, present in zip(names, there, strict=True) if not present),
        cross_entropy=cross_entropy(values, truth),
        bootstrap=Bootstrap(draws, seed, level, int(np.isnan(drawn.recalls[there]).any(axis=0).sum())),
    )


def resampled_recalls(
    probabilities: ArrayLike,
    labels: ArrayLike,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    subjects: Sequence[str] | None = None,
) -> ResampledRecalls:
    """Score resamples of the clips, drawn with replacement.

    The clips drawn depend on the number of clips, that of draws, the subjects and the seed alone, so two sets of
    predictions of the same clips meet the same resamples: their difference is the paired bootstrap (Efron & Tibshirani
    1993, chapter 16).

    Args:
        probabilities: (clips, classes), finite.
        labels: One-hot, the same shape.
        draws: Resamples.
        seed: Of the generator.
        subjects: Whose each clip is: they are drawn, each with all its clips, in place of clips.

    Raises:
        ValueError: As :func:`recognize` does, or there are fewer than two subjects.
    """
    values, one_hot = _checked(probabilities, labels)
    truth, (clips, classes) = decide(one_hot), values.shape
    right = decide(values) == truth
    if subjects is not None:
        return _of_subjects(right, one_hot, resampled_subjects(subjects, draws=draws, seed=seed))
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK_CLIPS // clips)
    war, recalls = [np.empty(0)], [np.empty((classes, 0))]
    for start in range(0, draws, block):
        chosen = generator.integers(clips, size=(min(block, draws - start), clips))
        hits = right[chosen]
        war.append(hits.mean(axis=1))
        recalls.append(_recalls(truth[chosen], hits, classes))
    return ResampledRecalls(np.concatenate(war), np.concatenate(recalls, axis=1))


def _of_subjects(right: NDArray[np.bool_], one_hot: Floats, blocks: Iterable[Floats]) -> ResampledRecalls:
    """Score resamples in which each clip stands so many times, (draws, clips)."""
    war, recalls = [], []
    for weights in blocks:
        war.append(weights @ right / weights.sum(axis=1))
        counts, found = weights @ one_hot, weights @ (one_hot * right[:, np.newaxis])
        recalls.append(np.divide(found, counts, out=np.full(counts.shape, np.nan), where=counts > 0).T)
    return ResampledRecalls(np.concatenate(war), np.ascontiguousarray(np.concatenate(recalls, axis=1)))


def _recalls(truth: Decisions, hits: NDArray[np.bool_], classes: int) -> Floats:
    """Return the recall of each class in each draw, (classes, draws), from (draws, clips)."""
    draws = len(truth)
    place = (truth + classes * np.arange(draws)[:, np.newaxis]).ravel()
    counts = np.bincount(place, minlength=draws * classes).reshape(draws, classes)
    found = np.bincount(place, weights=hits.ravel(), minlength=draws * classes).reshape(draws, classes)
    result = np.full((draws, classes), np.nan)
    np.divide(found, counts, out=result, where=counts > 0)
    return np.ascontiguousarray(result.T)


def _checked(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    values, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    for what, array in (("probabilities", values), ("labels", truth)):
        if array.ndim != 2:
            raise ValueError(f"{what} have {array.ndim} dimensions; expected (clips, classes)")
        if not np.isfinite(array).all():
            raise ValueError(f"{what}: a value is not finite (row {int(np.argwhere(~np.isfinite(array))[0, 0])})")
    if values.shape != truth.shape:
        raise ValueError(f"probabilities are {values.shape}, labels are {truth.shape}")
    if not len(values):
        raise ValueError("no clip to score")
    broken = np.flatnonzero(~(np.isin(truth, (0.0, 1.0)).all(axis=1) & (truth.sum(axis=1) == 1.0)))
    if len(broken):
        raise ValueError(f"labels: row {int(broken[0])} is not one-hot")
    return values, truth
