"""What every submission format promises: a file that is written by it is accepted, and a broken one is not."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from eri.config.tasks import TASKS
from eri.data.clips import Clip, ClipTable
from eri.submission.formats import FORMATS, format_of, ids_to_submit
from eri.submission.validate import validate_submission
from eri.submission.write import write_submission
from eri.testing.promises import Promises
from eri.utils.errors import SubmissionError

_CLIPS = 5


def check_submission(name: str, table: ClipTable | None = None) -> None:
    """Check that a submission format writes files that it accepts, and refuses broken ones.

    A file of random predictions is written and has no findings. The same file without its last row, without its
    header, with a row twice, and with a cell that is not a number has findings.

    Args:
        name: Of the format, as it is registered.
        table: A data set of its task with test clips; None is five clips of the task ERI.

    Raises:
        CheckError: A promise is broken; the first that was found.
        SubmissionError: No format has that name, it does not fit the data set, or the data set has no test clips.

    Examples:
        >>> check_submission("challenge")
    """
    if name not in FORMATS:
        raise SubmissionError(FORMATS.unknown(name))
    if table is None:
        clips = tuple(Clip(f"{number:05d}", "test") for number in range(_CLIPS))
        table = ClipTable("a generated data set", Path(), TASKS["eri"], clips)
    check = Promises(f"the submission format '{name}' of {FORMATS.origin(name)}")
    with check.naming("fails"):
        rules = format_of(table, name=name)
    distinct = rules.labels and len(set(rules.columns)) == len(rules.columns)
    check.require(distinct, f"has columns that cannot be told apart: {', '.join(rules.columns)}", "Name each one once.")
    unranged = f"has no range of legal values: from {rules.low:g} to {rules.high:g}"
    check.require(rules.low < rules.high, unranged, "Set low and high.")
    ids = ids_to_submit(table, "test", rules)
    values = np.random.default_rng(0).uniform(rules.low, rules.high, (len(ids), len(rules.labels)))
    predictions = pd.DataFrame(values, index=ids, columns=list(rules.labels))
    with tempfile.TemporaryDirectory(prefix="eri-check-") as folder:
        written = write_submission(predictions, table, Path(folder), format=name)
        for finding in validate_submission(written, table, format=name):
            check.require(False, f"does not accept what it writes: {finding.message}", "Let both follow one rule.")
        header, *rows = written.read_text(encoding="utf-8").splitlines()
        broken = {
            "lacks its last row": [header, *rows[:-1]],
            "lacks its header": rows,
            "has a row twice": [header, *rows, rows[-1]],
            "has a cell that is not a number": [header, *rows[:-1], rows[-1].rpartition(",")[0] + ",none"],
        }
        for what, lines in broken.items():
            written.write_text("\n".join(lines) + "\n", encoding="utf-8")
            found = validate_submission(written, table, format=name)
            check.require(found, f"accepts a file that {what}", "Compare its columns and ids with the organisers'.")
