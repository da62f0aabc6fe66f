"""``failures.csv`` of a feature folder: the clips without features, and why."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable
from dataclasses import astuple, fields
from pathlib import Path

from eri.extraction.report import Failure
from eri.features.folder import FeatureFolder
from eri.features.problems import explained
from eri.utils.errors import EriError, MediaError, WorkerError
from eri.utils.files import write_text

NAME = "failures.csv"
_COLUMNS = [field.name for field in fields(Failure)]


def describe_failure(error: EriError, clip_id: str, extractor: str, file: str) -> Failure:
    """Return the row of ``failures.csv`` for an error of one clip."""
    reason = error.reason if isinstance(error, MediaError | WorkerError) else "data"
    # With its hint, in one line, and writable even where a file's name is not UTF-8.
    message = " ".join(str(error).split()).encode("utf-8", "replace").decode()
    return Failure(clip_id, extractor, file, reason, message)


def read_failures(folder: FeatureFolder) -> tuple[Failure, ...]:
    """Return the failures that a feature folder lists; none where the list is missing or not readable as one."""
    try:
        with (folder.path / NAME).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error):
        return ()
    if not rows or rows[0] != _COLUMNS:
        return ()
    return tuple(Failure(*row) for row in rows[1:] if len(row) == len(_COLUMNS))


def update_failures(folder: FeatureFolder, settled: Collection[str], failures: Iterable[Failure]) -> None:
    """Bring ``failures.csv`` up to date: rows of settled clips are replaced, the file goes when no row is left.

    Args:
        folder: The feature folder.
        settled: Clips that this run found complete, extracted or saw fail.
        failures: Those that failed.

    Raises:
        StoreError: The folder cannot be written.
    """
    new = tuple(failures)
    if not new and not (folder.path / NAME).exists():
        return
    with folder.lock("failures"):
        kept = [
            failure
            for failure in read_failures(folder)
            if failure.clip_id not in settled and not folder.feature_path(failure.clip_id).exists()
        ]
        rows = sorted([*kept, *new], key=lambda failure: failure.clip_id)
        _write(folder.path / NAME, rows)


def _write(path: Path, rows: Iterable[Failure]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    values = [astuple(row) for row in rows]
    writer.writerows(values)
    with explained(path):
        if values:
            write_text(path, text.getvalue())
        else:
            path.unlink(missing_ok=True)
