"""The history of a run: one row an epoch, as ``history.csv`` shows it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from eri.files import write_text
from eri.scoring import Scorer, Validation

Row = dict[str, float | int | None]


def history_row(
    epoch: int, loss: float, result: Validation, scorer: Scorer, learning_rate: float, seconds: float
) -> Row:
    """Return the row of one epoch; a figure that is undefined is None."""
    return {
        "epoch": epoch,
        "loss": loss,
        "val_loss": result.loss,
        **scorer.columns(result),
        "learning_rate": learning_rate,
        "seconds": round(seconds, 3),
    }


def write_history(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows in one atomic step; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["epoch"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
