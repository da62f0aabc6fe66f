"""What training reports while it runs, for progress bars and logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainingEvent:
    """A step of a run.

    Attributes:
        kind: ``start`` (also of a resumed run), ``batch``, ``epoch`` (after validation) or ``end``.
        run: Name of the run folder.
        epoch: The epoch at work, counted from 1; at ``start`` the number of epochs already done.
        epochs: Largest number of epochs.
        batch: Batches done in that epoch.
        batches: Batches an epoch.
        loss: Mean train loss of this epoch so far; None before its first batch.
        figure: Validation figure of the latest validated epoch; None before the first, or where undefined.
        best: That of the best epoch; None before the first epoch, or where undefined.
        best_epoch: The epoch that it belongs to; 0 before the first.
        stopped_early: At ``end``: no better epoch came for ``patience`` epochs.
        metric: What the figures are: ``Pearson`` (the mean over labels) or ``WAR``.
    """

    kind: Literal["start", "batch", "epoch", "end"]
    run: str
    epoch: int
    epochs: int
    batch: int = 0
    batches: int = 0
    loss: float | None = None
    figure: float | None = None
    best: float | None = None
    best_epoch: int = 0
    stopped_early: bool = False
    metric: str = "Pearson"


Listener = Callable[[TrainingEvent], None]


def ignore(event: TrainingEvent) -> None:
    """Take an event and do nothing with it."""
