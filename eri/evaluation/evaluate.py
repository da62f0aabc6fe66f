"""Scoring a run on a split: predictions by clip id, metrics with intervals, both kept in the run folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from eri.config import Runtime
from eri.config.tasks import Task
from eri.data.clips import ClipTable, Split
from eri.metrics.bootstrap import RESAMPLES
from eri.metrics.scoring import Scores, create_scorer
from eri.runs.opening import TRAIN_MEAN, OpenedRun, open_run
from eri.training.data import warn_of_clips
from eri.training.learners import create_learner
from eri.training.run_folder import METRICS, PREDICTIONS, Run, read_run, writing
from eri.utils.errors import DataError, RunError
from eri.utils.files import atomic_path, write_json
from eri.utils.tables import Shown, Summary

_LOG = logging.getLogger(__name__)

_PUBLISHED = {"mean_pearson": "mean", "war": "WAR", "uar": "UAR"}


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Shown):
    """What came of evaluating a run on one split.

    Attributes:
        run: The run folder.
        split: The split.
        metrics: Scores over its labelled clips, ``Metrics`` of intensities or ``Recognition``; None when it has none.
        predictions: As :func:`predict` returned them.
        fallback: Ids of the clips that were predicted by :data:`TRAIN_MEAN`.
        published: The score of the paper for this split; None where it has none.
        published_as: What that score is: ``mean``, ``WAR`` or ``UAR``.
        source: The paper.
        notes: What a reader of the scores should know.
    """

    run: Path
    split: Split
    metrics: Scores | None
    predictions: pd.DataFrame
    fallback: tuple[str, ...]
    published: float | None
    published_as: str
    source: str | None
    notes: tuple[str, ...]

    def as_table(self) -> Summary:
        """Return the score of each label."""
        lines = self.metrics.lines() if self.metrics is not None else []
        title = f"{self.run.name}, {self.split} split, {len(self.predictions)} clips"
        rows = [(line.name, line.value, line.interval, line.remark) for line in lines]
        return Summary(title, ("", "score", "95 % interval", "remarks"), rows, notes=self.notes)


def predict(
    run: Path | OpenedRun, table: ClipTable, features: Path, split: Split = "test", runtime: Runtime = Runtime()
) -> pd.DataFrame:
    """Predict every clip of a split with a run, a cross-validation or an ensemble, opened or by its folder.

    Returns what :meth:`eri.runs.opening.OpenedRun.predict` does: index ``clip_id``, a column per label, and ``rule``.
    """
    opened = open_run(run, runtime) if isinstance(run, Path) else run
    _refuse_other_task(opened, table)
    ids = [clip.id for clip in table.split(split)]
    if not ids:
        raise DataError(f"{table.name}: there is no clip of split '{split}'", hint="Choose another --split.")
    opened.refuse_fitted_split(split)
    predictions = opened.predict(opened.read_features(features, table, split), ids)
    fallback = list(predictions.index[predictions["rule"] != ""])
    warn_of_clips(f"{opened.path}, split '{split}': %d clip(s) without features get the train mean", fallback)
    return predictions


def evaluate(
    run: Path,
    table: ClipTable,
    features: Path,
    *,
    split: Split = "val",
    bootstrap: int = RESAMPLES,
    seed: int = 0,
    runtime: Runtime = Runtime(),
) -> Evaluation:
    """Score a run on a split, and write ``metrics.json`` and ``predictions.parquet``, which keep other splits' results.

    A split without labels is predicted only; other data than the run was trained on is warned of.
    """
    opened = read_run(run)
    predictions = predict(run, table, features, split, runtime)
    labelled = [clip.id for clip in table.split(split) if clip.labels is not None]
    names = list(opened.task.labels)
    metrics = None
    if labelled:
        truth = table.label_matrix(labelled)
        scorer = create_scorer(table.task.kind, names)
        metrics = scorer.score(predictions.loc[labelled, names].to_numpy(), truth, resamples=bootstrap, seed=seed)
    fallback = tuple(predictions.index[predictions["rule"] == TRAIN_MEAN])
    notes = tuple(_notes(opened, table, split, len(labelled)))
    result = Evaluation(run, split, metrics, predictions, fallback, *_published(opened, table, split), notes)
    with writing(run), FileLock(run / ".evaluation.lock"):
        _keep_predictions(run / PREDICTIONS, predictions, split)
        _keep_metrics(run / METRICS, opened, result, table)
    return result


def _published(run: Run, table: ClipTable, split: Split) -> tuple[float | None, str, str | None]:
    """Return what a paper reports for the system on the table's task, a score of the same kind: value, name, source."""
    paper, regression = run.config.published, table.task.kind == "regression"
    if paper is None or paper.task != table.task.name or (paper.metric == "mean_pearson") != regression:
        return None, "", None
    return {"val": paper.validation, "test": paper.test}.get(split), _PUBLISHED[paper.metric], paper.source


def _refuse_other_task(run: OpenedRun, table: ClipTable) -> None:
    own, given = run.task, table.task
    if (own.kind, own.labels, own.low, own.high) != (given.kind, given.labels, given.low, given.high):
        raise RunError(
            f"{run.path}: predicts {_asked(own)}, but the {'classes' if given.is_classification else 'labels'} of "
            f"{table.name} are {_asked(given)}",
            hint="Evaluate the run on data of its own task, or train one on this data.",
        )


def _asked(task: Task) -> str:
    names = ", ".join(task.labels)
    return f"the classes {names}" if task.is_classification else f"{names} in [{task.low:g}, {task.high:g}]"


def _notes(run: Run, table: ClipTable, split: Split, labelled: int) -> list[str]:
    notes = []
    if table.fingerprint != run.environment["data"]["fingerprint"]:
        notes.append("the data is not what the run was trained on (its fingerprint differs)")
        _LOG.warning("%s: %s", run.path, notes[-1])
    if split == "val":
        notes.append("the epoch was chosen on this split, so its scores are optimistic")
    if split == "train":
        notes.append("the model was fitted to this split")
    if run.config.training.shuffle_labels:
        notes.append("shuffled-label baseline: trained on shuffled labels")
    unlabelled = len(table.split(split)) - labelled
    if unlabelled:
        notes.append(f"{unlabelled} clip(s) of the split have no labels and are not scored")
    return notes


def _kept(path: Path, read: Callable[[Path], Any]) -> Any:
    """Return what a file keeps of earlier evaluations; None where there was none."""
    try:
        return read(path) if path.exists() else None
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are among these
        raise RunError(f"{path}: cannot be read: {error}", hint="Remove the file and evaluate again.") from error


def _keep_predictions(path: Path, predictions: pd.DataFrame, split: Split) -> None:
    frame = predictions.reset_index()
    frame.insert(1, "split", split)
    before = _kept(path, pd.read_parquet)
    if before is not None:
        others = before[(before["split"] != split) & ~before["clip_id"].isin(frame["clip_id"])]
        frame = pd.concat([others, frame], ignore_index=True).sort_values("clip_id", ignore_index=True)
    write_parquet(path, frame)


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a table without its index in one atomic step."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


def _keep_metrics(path: Path, run: Run, result: Evaluation, table: ClipTable) -> None:
    splits = _kept(path, lambda file: json.loads(file.read_text(encoding="utf-8"))["splits"]) or {}
    published = {result.published_as.lower(): result.published, "source": result.source}
    splits[result.split] = {
        "metric": create_scorer(table.task.kind, table.task.labels).described,
        "scores": None if result.metrics is None else result.metrics.to_json(),
        "published": None if result.published is None else published,
        "fallback": {"rule": TRAIN_MEAN, "clips": list(result.fallback)},
        "notes": list(result.notes),
        "epoch": create_learner(run.config.model).chosen(run),
        "data": {"name": table.name, "fingerprint": table.fingerprint},
    }
    write_json(path, {"run": run.path.name, "config": run.config.name, "splits": splits})
