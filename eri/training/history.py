"""The history of a run: one row an epoch, as ``history.csv`` shows it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from eri.files import write_text
from eri.training.selection import Validation

Row = dict[str, float | int | None]


def history_row(
    epoch: int, loss: float, result: Validation, names: Sequence[str], learning_rate: float, seconds: float
) -> Row:
    """Return the row of one epoch; a Pearson that is undefined is None."""
    per_label = {
        name: None if value != value else float(value) for name, value in zip(names, result.pearson, strict=True)
    }
    return {
        "epoch": epoch,
        "loss": loss,
        "val_loss": result.mse,
        "val_pearson": result.mean,
        **per_label,
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
