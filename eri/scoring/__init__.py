"""Scoring predictions by their task: intensities by Pearson's correlation, classes by WAR and UAR."""

from __future__ import annotations

from collections.abc import Sequence

from eri.scoring.base import Resampled, Scorer, Scores, Validation
from eri.scoring.classification import ClassificationScorer
from eri.scoring.regression import RegressionScorer, validate_intensities
from eri.tasks import TaskKind

__all__ = [
    "ClassificationScorer",
    "RegressionScorer",
    "Resampled",
    "Scorer",
    "Scores",
    "Validation",
    "create_scorer",
    "validate_intensities",
]


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
