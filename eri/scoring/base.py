"""What a scorer is, and what it gives: scores to report, a validation to choose by, resamples to compare by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from numpy.typing import ArrayLike

from eri.metrics import DRAWS, Figure, Floats, Interval


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
