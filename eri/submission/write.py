"""Writing a submission file with the manifest that says where it came from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eri.data.clips import ClipTable, Split
from eri.data.rows import count_clips, first_ids
from eri.data.tables import format_number
from eri.submission.formats import SubmissionFormat, format_of, ids_to_submit
from eri.submission.validate import Code, validate_submission
from eri.utils.errors import SubmissionError
from eri.utils.files import atomic_path, sha256_file, write_json
from eri.utils.spelling import closest
from eri.utils.version import __version__

if TYPE_CHECKING:
    import pandas as pd

_MANIFEST_NAME = "manifest.json"
# Keeps float32 outputs above 0.06 apart; the rounding error of 5e-10 does not show in a Pearson correlation.
_DECIMALS = 9
_RUN_SUFFIXES = frozenset({".yaml", ".json", ".safetensors"})
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]*\.(?:csv|txt)")


def write_submission(
    predictions: pd.DataFrame,
    table: ClipTable,
    folder: Path,
    *,
    split: Split = "test",
    run: Path | None = None,
    filename: str | None = None,
    bracketed: bool | None = None,
    format: str | None = None,  # noqa: A002  # the option's name
    overwrite: bool = False,
) -> Path:
    """Write the file that the organisers ask for, and ``manifest.json`` beside it; return the file's path.

    The predictions have one row per clip of the split, indexed by clip id, and a column per label. A column ``rule``
    may name the rule by which a row was filled; the manifest lists its clips. Other columns are ignored. Values beyond
    the task's range are clipped to it, and the manifest says how many. A column that is constant is written and is
    among the manifest's findings, because the official score would not be a number.

    Of the ``run`` that predicted, its name and the checksums of its config, environment and weights go into the
    manifest. The format and its brackets are those of :func:`~eri.submission.formats.format_of`.

    Raises SubmissionError where a clip of the split has no prediction, a row is for another clip, a value is not
    finite, or a file is there and must not be overwritten.
    """
    target = _free_path(folder, "predictions.csv" if filename is None else filename, overwrite=overwrite)
    rules = format_of(table, bracketed, format)
    ids = ids_to_submit(table, split, rules)
    frame = predictions.set_axis([str(clip_id) for clip_id in predictions.index])
    values = _values(frame, ids, split, table, rules)
    within = np.clip(values, rules.low, rules.high)
    excess = np.abs(values - within)
    manifest = target.with_name(_MANIFEST_NAME)
    try:
        with atomic_path(target) as temporary:
            temporary.write_text(_text(ids, within, rules), encoding="utf-8", newline="\n")
            findings = validate_submission(temporary, table, split=split, bracketed=bracketed, format=format)
            # A constant column may be submitted, as a finding; nothing else that the organisers refuse is written.
            errors = [one for one in findings if one.severity == "error" and one.code is not Code.CONSTANT_COLUMN]
            if errors:
                shown = "\n".join(f"  line {found.line}: {found.message}" for found in errors[:5])
                raise SubmissionError(
                    f"{target}: would not be accepted ({len(errors)} findings):\n{shown}",
                    hint="The ids or the task of the data set do not fit the submission's format.",
                )
            manifest.unlink(missing_ok=True)  # no manifest is ever beside a file that it does not describe
        files = [] if run is None else sorted(path for path in run.iterdir() if path.suffix in _RUN_SUFFIXES)
        checksums = {path.name: sha256_file(path) for path in files}
        span = f"[{format_number(rules.low)}, {format_number(rules.high)}]"
        described = {
            "file": target.name,
            "sha256": sha256_file(target),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "eri_version": __version__,
            "run": None if run is None else run.resolve().name,
            "config_sha256": checksums.get("config.yaml"),
            "checksums": checksums,
            "data_set": table.name,
            "data_fingerprint": table.fingerprint,
            "task": table.task.name,
            "split": split,
            "columns": rules.columns,
            "rows": len(ids),
            "filled_by_rule": _rules_by_clip(frame, ids),
            "clipped": {"range": span, "values": int(np.count_nonzero(excess)), "largest_excess": float(excess.max())},
            "findings": [asdict(finding) for finding in findings],
        }
        write_json(manifest, described)
    except OSError as error:
        message = f"{folder}: cannot be written: {error.strerror}"
        raise SubmissionError(message, hint="Choose another folder.") from error
    return target


def _free_path(folder: Path, filename: str, *, overwrite: bool) -> Path:
    if not _FILE_NAME.fullmatch(filename):
        hint = "Give a plain name that ends in .csv."
        raise SubmissionError(f"'{filename}' is not a name for a submission", hint=hint)
    for path in (folder / filename, folder / _MANIFEST_NAME):
        if path.exists() and not overwrite:
            raise SubmissionError(f"{path}: is already there", hint="Choose another folder, or allow overwriting.")
    return folder / filename


def _values(
    predictions: pd.DataFrame, ids: Sequence[str], split: Split, table: ClipTable, rules: SubmissionFormat
) -> NDArray[np.float64]:
    """Return the predictions in the order of the file, (clips, labels)."""
    names = [str(name) for name in predictions.columns]
    if absent := [name for name in rules.labels if name not in names]:
        similar = closest(absent[0], names)
        raise SubmissionError(
            "predictions have no column " + ", ".join(f"'{name}'" for name in absent),
            hint=f"Did you mean '{similar}'?" if similar else f"They have: {', '.join(names)}.",
        )
    given = predictions.index
    if duplicated := set(given[given.duplicated()]):
        raise SubmissionError(f"predictions hold duplicate rows of {count_clips(duplicated)}: {first_ids(duplicated)}")
    if missing := set(ids) - set(given):
        raise SubmissionError(
            f"{count_clips(missing)} of the {split} split without predictions: {first_ids(missing)}",
            hint=f"Predict the {split} split again; clips without features are filled by the stated rule there.",
        )
    if extra := set(given) - set(ids):
        foreign = {clip_id for clip_id in extra if clip_id not in table}
        what = "not in the data set" if foreign else "of other splits"
        raise SubmissionError(
            f"predictions hold {count_clips(foreign or extra)} {what}: {first_ids(foreign or extra)}",
            hint=f"Pass the predictions of the {split} split only.",
        )
    try:
        values = predictions.loc[list(ids), list(rules.labels)].to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SubmissionError(f"predictions hold something that is not a number: {error}") from error
    broken = [clip_id for clip_id, good in zip(ids, np.isfinite(values).all(axis=1), strict=True) if not good]
    if broken:
        raise SubmissionError(
            f"predictions of {count_clips(broken)} are not finite: {first_ids(broken)}",
            hint="Check the run's training history: a diverged model predicts NaN.",
        )
    return values


def _text(ids: Sequence[str], values: NDArray[np.float64], rules: SubmissionFormat) -> str:
    rounded = np.round(values, _DECIMALS) + 0.0  # adding zero turns -0.0 into 0.0
    texts = ((f"{value:.{_DECIMALS}f}" for value in row) for row in rounded.tolist())
    rows = [(rules.id_cell(clip_id), *row) for clip_id, row in zip(ids, texts, strict=True)]
    return "".join(",".join(row) + "\n" for row in (rules.columns, *rows))


def _rules_by_clip(predictions: pd.DataFrame, ids: Sequence[str]) -> dict[str, str]:
    """Return the rule of each clip whose row was filled by one."""
    if "rule" not in predictions.columns:
        return {}
    rules = predictions.loc[list(ids), "rule"]
    return {clip_id: rule for clip_id, rule in zip(ids, rules, strict=True) if isinstance(rule, str) and rule}
