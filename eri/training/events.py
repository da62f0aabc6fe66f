"""What training reports: events while it runs, the rows of ``history.csv``, and the best epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from eri.metrics.scoring import Scorer, Validation
from eri.utils.files import write_text

EventKind = Literal["prepare", "start", "batch", "validate", "epoch", "end"]


@dataclass(frozen=True)
class TrainingEvent:
    """A step of a run.

    Attributes:
        kind: ``prepare`` (features are measured), ``start`` (also of a resumed run), ``batch``, ``validate`` (val clips
            are predicted), ``epoch`` (after validation) or ``end``.
        run: Name of the run folder.
        epoch: The current epoch, counted from 1; at ``start`` the number of epochs already done.
        epochs: Largest number of epochs.
        batch: Batches done: of that epoch, or at ``prepare`` and ``validate`` of what is measured or predicted.
        batches: Batches in all, likewise.
        loss: Mean train loss of this epoch so far; None before its first batch.
        figure: Validation score of the latest validated epoch; None before the first, or where undefined.
        best: That of the best epoch; None before the first epoch, or where undefined.
        best_epoch: The epoch that it belongs to; 0 before the first.
        stopped_early: At ``end``: there was no better epoch for ``patience`` epochs.
        metric: What the scores are: ``Pearson`` (the mean over labels) or ``WAR``.
    """

    kind: EventKind
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


@dataclass
class Best:
    """The best epoch so far, counted from 1, and its scores; see :class:`~eri.metrics.scoring.Validation`."""

    epoch: int = 0
    score: float = -np.inf
    figure: float | None = None
    ties: tuple[float, ...] = ()

    def update(self, epoch: int, result: Validation) -> bool:
        """Take over an epoch if it is strictly better; return whether it was."""
        if (result.score, *result.ties) <= (self.score, *self.ties):
            return False
        self.epoch, self.score, self.figure, self.ties = epoch, result.score, result.figure, result.ties
        return True


Row = dict[str, float | int | None]


def history_row(epoch: int, loss: float, result: Validation, scorer: Scorer, rate: float, seconds: float) -> Row:
    """Return the row of one epoch; a score that is undefined is None."""
    row = {"epoch": epoch, "loss": loss, "val_loss": result.loss, **scorer.columns(result)}
    return {**row, "learning_rate": rate, "seconds": round(seconds, 3)}


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows in one atomic step; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["epoch"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
