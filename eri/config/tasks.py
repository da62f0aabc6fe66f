"""Tasks: which labels or classes are asked for, their range, how a model's output is bounded, how clips are named.

The label names are those of the organisers' own files, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from eri.utils.errors import DataError

TaskKind = Literal["regression", "classification"]
Activation = Literal["sigmoid", "linear", "softmax"]


@dataclass(frozen=True)
class Task:
    """What is to be predicted of each clip: some numbers, or one class of several.

    The labels of a classification task are its class names. A clip's labels are then one-hot over them and a prediction
    is their probabilities, so that both kinds have one number per label. A task that cannot be is a :class:`DataError`.

    Attributes:
        name: Its name in configs and messages.
        labels: Names of the targets, or of the classes, in the order of the submission file.
        low: Smallest legal label value.
        high: Largest legal label value.
        activation: How a head's raw output is bounded unless a config says otherwise. ``softmax`` is what the
            paper of YAP-CSM draws; ``sigmoid`` is what its published scores and every winner used.
        id_column: First column of the organisers' tables and of the submission; None: that of the data set's own table.
        id_digits: Clip ids are numbers, padded with zeros to this many digits; None keeps them as they are.
        bracketed: Ids stand in square brackets in the submission.
        kind: ``regression`` or ``classification``; :meth:`of_classes` makes the latter.

    Examples:
        >>> TASKS["eri"].labels[4], TASKS["emi"].labels[3]
        ('Empathic-Pain', 'Empathic Pain')
    """

    name: str
    labels: tuple[str, ...]
    low: float = 0.0
    high: float = 1.0
    activation: Activation = "sigmoid"
    id_column: str | None = None
    id_digits: int | None = None
    bracketed: bool = False
    kind: TaskKind = "regression"

    def __post_init__(self) -> None:
        def refuse(what: str, hint: str) -> None:
            raise DataError(f"task '{self.name}': {what}", hint=hint)

        if self.kind not in get_args(TaskKind):
            refuse(f"kind is '{self.kind}'", f"It is {' or '.join(get_args(TaskKind))}.")
        if self.kind == "regression":
            return
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            refuse(
                "a classification needs two classes or more, each named once; "
                f"it has {', '.join(map(repr, self.labels)) or 'none'}",
                "List every class in 'labels', once.",
            )
        if (self.low, self.high, self.activation) != (0.0, 1.0, "softmax"):
            refuse(
                "a classification predicts probabilities, so its range is [0, 1] and its activation softmax, not "
                f"[{self.low:g}, {self.high:g}] and {self.activation}",
                "Leave range and activation out, or make it a regression.",
            )

    @classmethod
    def of_classes(cls, name: str, classes: tuple[str, ...]) -> Task:
        """Return the classification task of some classes; a :class:`DataError` where one is duplicated, or alone."""
        return cls(name, classes, activation="softmax", kind="classification")

    @property
    def is_classification(self) -> bool:
        """Whether one class of several is to be predicted."""
        return self.kind == "classification"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; empty where numbers are to be predicted."""
        return self.labels if self.is_classification else ()

    def one_hot(self, label: str | int) -> tuple[float, ...]:
        """Return the labels of a clip of one class, by name or by its place in ``labels``: 1 for the class, else 0.

        Examples:
            >>> task = Task.of_classes("valence", ("negative", "positive"))
            >>> task.one_hot("positive"), task.one_hot(0)
            ((0.0, 1.0), (1.0, 0.0))
        """
        if not self.is_classification:
            raise DataError(f"task '{self.name}' has no classes: it is a regression")
        known = range(len(self.labels)) if isinstance(label, int) else self.labels
        if label not in known:
            raise DataError(
                f"task '{self.name}' has no class {label!r}", hint=f"Its classes are {', '.join(self.labels)}."
            )
        return tuple(float(label in place) for place in enumerate(self.labels))


ERI = Task(
    "eri",
    ("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise"),
    id_column="File_ID",
    id_digits=5,
    bracketed=True,
)
"""Hume-Reaction: ABAW5 ERI (2023) and MuSe-Reaction (2022)."""

EMI = Task(
    "emi",
    ("Admiration", "Amusement", "Determination", "Empathic Pain", "Excitement", "Joy"),
    id_column="Filename",
    id_digits=5,
)
"""Hume-Vidmimic2: EMI of ABAW6 (2024), ABAW8 (2025) and ABAW10 (2026). Labels are shares of annotators."""

MIMIC = Task("mimic", ("Approval_", "Disappointment_", "Uncertainty_"), id_column="filename")
"""MuSe-Mimic (2023). The organisers' baseline bounds its output by a sigmoid."""

_TRAITS = "assertiv dominant confident independent enthusiastic good_natured sincere collaborative friendly aggressive"
PERCEPTION = Task(
    "perception", (*_TRAITS.split(), "likeable", "arrogant", "leader_like", "kind", "warm", "risk"), id_column="subj_id"
)
"""MuSe-Perception (2024). The organisers' baseline bounds its output by a sigmoid."""

TASKS: dict[str, Task] = {task.name: task for task in (ERI, EMI, MIMIC, PERCEPTION)}
"""Tasks known by name; a manifest describes its own."""
