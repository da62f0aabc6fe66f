"""What a run, a cross-validation or an ensemble predicts for clips that it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from eri.config import Runtime
from eri.config.tasks import Task
from eri.data.clips import ClipTable, Split
from eri.evaluation.evaluate import predict
from eri.metrics.intensities import Floats
from eri.runs.folders import CV_FOLDS, Kind, kind_of, read_cv, read_ensemble, task_of
from eri.training.run_folder import PREDICTIONS, read_run
from eri.utils.errors import ConfigError, DataError, RunError


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of labelled clips by something that was not fitted on them."""

    path: Path
    kind: Kind
    task: Task
    fingerprint: str  # of the data set that it was made on
    predictions: pd.DataFrame  # index clip_id, ascending; a column per label
    folds: dict[str, str] = field(default_factory=dict)  # in a cross-validation's first repeat; empty for a run
    notes: tuple[str, ...] = ()

    def values(self, ids: Sequence[str]) -> Floats:
        """Return the predictions of some clips, float64 (len(ids), labels)."""
        return self.predictions.loc[list(ids), list(self.task.labels)].to_numpy(dtype=np.float64)


def read_held_out(
    path: Path, table: ClipTable, features: Path, split: Split = "val", runtime: Runtime = Runtime()
) -> HeldOut:
    """Read or compute the predictions that a folder's score is taken on.

    A cross-validation's are its out-of-fold predictions, an ensemble's its nested ones; a run predicts the split, which
    must not be ``train``.
    """
    kind = kind_of(path)
    if kind == "run":
        return _read_run(path, table, features, split, runtime)
    if kind == "cross-validation":
        settings, folds = read_cv(path), _first_repeat(path / CV_FOLDS)
    else:
        settings, folds = read_ensemble(path), {}
    data, task = settings["data"], task_of(settings)
    _refuse_other_data(path, task, data["fingerprint"], table)
    predictions = _read_predictions(path / PREDICTIONS, task)
    return HeldOut(path, kind, task, data["fingerprint"], predictions, folds, tuple(settings.get("notes", ())))


def _read_predictions(path: Path, task: Task) -> pd.DataFrame:
    """Read predictions by clip id, a finite number for each label."""
    again = "Make the folder again with --overwrite."
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are among these
        raise RunError(f"{path}: cannot be read: {error}", hint=again) from error
    missing = [name for name in ("clip_id", *task.labels) if name not in frame.columns]
    if missing:
        raise RunError(f"{path}: has no column '{missing[0]}'", hint=again)
    frame = frame.set_index("clip_id").sort_index()
    broken = frame.index[~np.isfinite(frame[list(task.labels)].to_numpy(dtype=np.float64)).all(axis=1)]
    if len(broken):
        raise RunError(f"{path}: clip '{broken[0]}' has a prediction that is not a finite number", hint=again)
    return frame


def _read_run(path: Path, table: ClipTable, features: Path, split: Split, runtime: Runtime) -> HeldOut:
    if split == "train":
        raise ConfigError(
            f"{path}: a run is fitted on split 'train', so no score can be taken there",
            hint="Use --split val, or cross-validations.",
        )
    run = read_run(path)
    fingerprint = run.environment["data"]["fingerprint"]
    _refuse_other_data(path, run.task, fingerprint, table)
    labelled = [clip.id for clip in table.split(split) if clip.labels is not None]
    if not labelled:
        raise DataError(f"{table.name}: no clip of split '{split}' has labels", hint="Choose another --split.")
    predictions = predict(path, table, features, split, runtime).loc[labelled]
    notes = (f"the epoch of run {path.name} was chosen on these clips",) if split == "val" else ()
    return HeldOut(path, "run", run.task, fingerprint, predictions, {}, notes)


def _first_repeat(path: Path) -> dict[str, str]:
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        first = frame[frame["repeat"] == "1"]
        return dict(zip(first["clip_id"], first["fold"], strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{path}: cannot be read: {error}", hint="Run `eri cv` again with --overwrite.") from error


def _refuse_other_data(path: Path, task: Task, fingerprint: str, table: ClipTable) -> None:
    if task.labels != table.task.labels:
        raise RunError(
            f"{path}: predicts {', '.join(task.labels)}, but the labels of {table.name} are "
            f"{', '.join(table.task.labels)}",
            hint="Put together what was made for one task.",
        )
    if fingerprint != table.fingerprint:
        raise RunError(
            f"{path}: was made on other data than {table.name} is now: its clips, labels, splits or subjects differ",
            hint="Name the data that it was made on, or make it again on this.",
        )


def common_clips(held_out: Sequence[HeldOut]) -> list[str]:
    """Return the clips that all predict, ascending; a :class:`RunError` where labels, data or clips differ."""

    def asked(task: Task) -> tuple[object, ...]:
        return task.kind, task.labels, task.low, task.high

    first = held_out[0]
    for other in held_out[1:]:
        if asked(first.task) != asked(other.task):
            raise RunError(
                f"{first.path} predicts {', '.join(first.task.labels)}, but {other.path} predicts "
                f"{', '.join(other.task.labels)}",
                hint="Put together what was made for one task.",
            )
        if first.fingerprint != other.fingerprint:
            raise RunError(
                f"{first.path} and {other.path} were made on other clips, labels or splits",
                hint="Make both on the same data.",
            )
        differing = sorted(set(first.predictions.index) ^ set(other.predictions.index))
        if differing:
            raise RunError(
                f"{first.path} ({first.kind}) and {other.path} ({other.kind}) are scored on other clips: "
                f"{len(differing)} are in one only, the first is '{differing[0]}'",
                hint="Put runs with runs of the same split, and cross-validations with cross-validations.",
            )
    return [str(clip_id) for clip_id in sorted(first.predictions.index)]
