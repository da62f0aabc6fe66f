"""Tasks: which labels a challenge asks for, their range, how a model's output is bounded, and how clips are named.

The label names are those of the organisers' own files, to the letter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Activation = Literal["sigmoid", "linear", "softmax"]


@dataclass(frozen=True)
class Task:
    """One regression task.

    Attributes:
        name: Its name in configs and messages.
        labels: Names of the targets, in the order of the submission file.
        low: Smallest legal label value.
        high: Largest legal label value.
        activation: How a head's raw output is bounded unless a config says otherwise. ``softmax`` is what the
            paper of YAP-CSM draws; ``sigmoid`` is what its published figures and every winner used.
        id_column: First column of the organisers' tables and of the submission; None is that of the data set's own
            table.
        id_digits: Clip ids are numbers, padded with zeros to this many digits; None keeps them as they are.
        bracketed: Ids stand in square brackets in the submission.

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

PERCEPTION = Task(
    "perception",
    (
        "assertiv",
        "dominant",
        "confident",
        "independent",
        "enthusiastic",
        "good_natured",
        "sincere",
        "collaborative",
        "friendly",
        "aggressive",
        "likeable",
        "arrogant",
        "leader_like",
        "kind",
        "warm",
        "risk",
    ),
    id_column="subj_id",
)
"""MuSe-Perception (2024). The organisers' baseline bounds its output by a sigmoid."""

TASKS: dict[str, Task] = {task.name: task for task in (ERI, EMI, MIMIC, PERCEPTION)}
"""Tasks known by name; a manifest describes its own."""
