"""Tasks: which labels a challenge asks for, their range, and how a model's output is bounded.

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

    Examples:
        >>> TASKS["eri"].labels[4]
        'Empathic-Pain'
    """

    name: str
    labels: tuple[str, ...]
    low: float = 0.0
    high: float = 1.0
    activation: Activation = "sigmoid"


ERI = Task(
    "eri",
    ("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise"),
)
"""Hume-Reaction: ABAW5 ERI (2023) and MuSe-Reaction (2022)."""

TASKS: dict[str, Task] = {task.name: task for task in (ERI,)}
"""Tasks known by name; a manifest describes its own."""
