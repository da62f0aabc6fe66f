"""How long judging a submission of the real size takes, beside pandas, which reads the file and judges nothing."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import Bar, Row, alternate
from eri.config.tasks import ERI
from eri.data.clips import Clip, ClipTable
from eri.submission import validate_submission, write_submission

CLIPS = 4_604
"""Clips of ABAW5's test split."""


def run(quick: bool) -> list[Row]:
    """Time judging a submission that is right, and one that is wrong in every line."""
    rounds = 1 if quick else 9
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        table = ClipTable(
            "generated", root, ERI, tuple(Clip(f"{n:05d}", "test") for n in range(4 if quick else CLIPS)), "File_ID"
        )
        right = _write(table, root)
        header, *lines = right.read_text().splitlines()
        wrong = root / "wrong.csv"
        wrong.write_text("\n".join([header, *(line.replace("0.", "x.") for line in lines)]) + "\n")
        rows = []
        for path in (right, wrong):
            times = alternate(partial(validate_submission, path, table), partial(pd.read_csv, path), rounds)
            what = f"judging {len(lines):,} lines, {len(validate_submission(path, table)):,} findings"
            rows.append(Row(what, *times, "s", Bar("at_most", 1.0, of="ours"), "reference: `pandas.read_csv`"))
    return rows


def _write(table: ClipTable, root: Path) -> Path:
    values = np.random.default_rng(0).uniform(0.01, 0.99, (len(table), len(table.task.labels)))
    predictions = pd.DataFrame(values, [clip.id for clip in table], list(table.task.labels))
    return write_submission(predictions, table, root / "submission")
