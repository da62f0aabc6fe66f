"""What `eri predict` shows when it has ended: a table of intensities, or why there are none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from eri.screen import console, table_of

if TYPE_CHECKING:
    from eri.prediction.writing import PredictionReport

_ROWS = 40


def show_predictions(report: PredictionReport) -> None:
    """Show the predictions of the first videos, the strongest label of each, and where the files are."""
    labels = list(report.task.labels)
    rows = []
    for file, row in report.table.head(_ROWS).iterrows():
        name = Path(str(file)).name.encode("utf-8", "replace").decode()
        if row["reason"]:
            rows.append([name, *[""] * len(labels), " ".join(str(row["reason"]).split())])
            continue
        remark = "; ".join(part for part in (str(row["rule"]), str(row["notes"])) if part)
        rows.append([name, *(f"{row[label]:.3f}" for label in labels), remark])
    title = f"{report.path.parent.name}: {len(report.table) - report.failed} of {len(report.table)} predicted"
    console.print(table_of(title, ("file", *labels, "remarks"), rows, numbers=range(1, len(labels) + 1)))
    if len(report.table) > _ROWS:
        _say(f"and {len(report.table) - _ROWS} more")
    for file, problem in report.problems.items():
        _say(f"{file}: no timeline: {problem}")
    _say(f"written: {report.path}")
    for paths in report.timelines.values():
        _say(f"written: {', '.join(map(str, paths))}")


def _say(line: str) -> None:
    shown = line.encode("utf-8", "replace").decode()
    console.print(escape(shown), soft_wrap=True, highlight=False)
