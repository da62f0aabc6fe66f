"""What cross-validations, searches, ensembles and comparisons report while they run, for progress bars and logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eri.evaluation.search_space import Value


@dataclass(frozen=True)
class ModelTrained:
    """One model of a cross-validation is trained.

    Attributes:
        name: Name of its run folder.
        done: Models trained so far.
        total: Models to train.
        score: Its score on the clips that it was not fitted on; None where undefined.
        metric: What the score is: ``Pearson`` (the mean over labels) or ``WAR``.
    """

    name: str
    done: int
    total: int
    score: float | None
    metric: str = "Pearson"


@dataclass(frozen=True)
class TrialEnded:
    """One trial of a search is over.

    Attributes:
        number: Its place in the study.
        state: How it ended.
        values: Its values of the searched settings.
        value: Its score on the val split, or over the folds; None unless complete.
        error: Why it failed.
    """

    number: int
    state: Literal["complete", "pruned", "failed"]
    values: dict[str, Value]
    value: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class StepDone:
    """One step of an ensemble or a comparison is done.

    Attributes:
        name: What was done, such as ``predictions of visual-seed1``.
        done: Steps done so far.
        total: All steps.
    """

    name: str
    done: int
    total: int


def ignore(event: object) -> None:
    """Take an event and do nothing with it."""
