"""What a report on a run, a cross-validation or an ensemble is made from, read from its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eri.config import config_names, load_config
from eri.config.tasks import Task
from eri.data.clips import ClipTable, Split
from eri.evaluation.held_out import HeldOut, read_held_out
from eri.extraction.report import Failure, read_failures
from eri.features.folder import FeatureFolder
from eri.metrics.intensities import Floats
from eri.metrics.scoring import Scores, create_scorer
from eri.runs.folders import FILES, Kind, kind_of
from eri.training.features import recorded_features
from eri.training.run_folder import HISTORY, METRICS, PREDICTIONS, read_run
from eri.utils.errors import DataError, RunError, StoreError

_METRICS = {"mean_pearson": "mean", "war": "WAR", "uar": "UAR"}
_PREFERRED: tuple[Split, ...] = ("val", "test", "train")


class Reference(NamedTuple):
    """A published score: the shipped config, the metric (``mean``, ``WAR`` or ``UAR``), the score and its paper."""

    system: str
    metric: str
    value: float
    source: str


@dataclass(frozen=True, eq=False)
class System:
    """A run, a cross-validation or an ensemble, with what it predicted for labelled clips."""

    path: Path
    name: str
    kind: Kind
    table: ClipTable
    split: str  # of the clips below; ``held out`` where they come from several
    ids: tuple[str, ...]  # the clips, ascending
    predictions: Floats  # (clips, labels)
    truth: Floats  # likewise
    fallback: NDArray[np.bool_]  # which clips were predicted by a rule rather than by the model, (clips,)
    scores: Scores
    settings: str  # the file that says what it is, verbatim
    environment: dict[str, Any]  # what ``environment.json`` holds; empty where it is no run
    history: pd.DataFrame | None  # one row per epoch
    epoch: int | None  # the chosen one
    folders: dict[str, FeatureFolder]  # feature folders by modality that are there
    failures: tuple[Failure, ...]  # clips without features
    references: tuple[Reference, ...]  # published scores for the task and split
    notes: tuple[str, ...]  # what a reader should know

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self.table.task

    def held_out(self) -> HeldOut:
        """Return the predictions as comparisons take them."""
        frame = pd.DataFrame(self.predictions, index=pd.Index(self.ids, name="clip_id"), columns=self.task.labels)
        return HeldOut(self.path, self.kind, self.task, self.table.fingerprint, frame, {}, self.notes)


def read_system(path: Path, table: ClipTable, features: Path, split: Split | None, *, resamples: int) -> System:
    """Read the folder of a run, a cross-validation or an ensemble that predictions were written into.

    The split is that of the clips that a run predicted; None takes the first of ``val``, ``test`` and ``train`` with
    labels. Features that are not there are left out of the report.

    Raises RunError where there are no predictions, they are damaged, or they were made on other data, and DataError
    where no predicted clip has labels.
    """
    kind, task = kind_of(path), table.task
    environment: dict[str, Any] = {}
    epoch: int | None = None
    if kind == "run":
        environment = read_run(path).environment
        frame, own = _run_predictions(path, table, split)
        notes, epoch = _evaluated(path, own, table)
        fallback, chosen = frame["rule"].fillna("").ne("").to_numpy(), str(own)
    else:
        held = read_held_out(path, table, features)
        frame, notes, fallback, chosen = held.predictions, held.notes, np.zeros(len(held.predictions), bool), "held out"
    ids = tuple(str(clip_id) for clip_id in frame.index)
    predictions, truth = frame[list(task.labels)].to_numpy(dtype=np.float64), table.label_matrix(ids)
    if not np.isfinite(predictions).all():
        raise RunError(f"{path / PREDICTIONS}: a prediction is not a finite number", hint="Run `eri evaluate` again.")
    folders: dict[str, FeatureFolder] = {}
    for name, source in environment.get("features", {}).items():
        try:
            folders |= recorded_features({name: source}, features)
        except StoreError as error:
            notes = (*notes, f"{error.message}; what they show of faces and audio is left out")
    wanted = {clip.id for clip in table}
    return System(
        path=path,
        name=path.resolve().name,
        kind=kind,
        table=table,
        split=chosen,
        ids=ids,
        predictions=predictions,
        truth=truth,
        fallback=fallback,
        scores=create_scorer(task.kind, task.labels).score(predictions, truth, resamples=resamples),
        settings=(path / FILES[kind]).read_text(encoding="utf-8"),
        environment=environment,
        history=_history(path),
        epoch=epoch,
        folders=folders,
        failures=tuple(one for folder in folders.values() for one in read_failures(folder) if one.clip_id in wanted),
        references=_references(task, chosen),
        notes=notes,
    )


def _run_predictions(run: Path, table: ClipTable, split: Split | None) -> tuple[pd.DataFrame, Split]:
    path, evaluate = run / PREDICTIONS, f"Make them: eri evaluate {run}"
    if not path.is_file():
        raise RunError(f"{run}: the run has no predictions", hint=evaluate)
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are among these
        raise RunError(f"{path}: cannot be read: {error}", hint="Remove the file and evaluate again.") from error
    missing = [name for name in ("clip_id", "split", "rule", *table.task.labels) if name not in frame.columns]
    if missing:
        raise RunError(f"{path}: has no column '{missing[0]}'", hint=evaluate)
    there = [name for name in _PREFERRED if (frame["split"] == name).any()]
    labelled = {clip.id for clip in table if clip.labels is not None}
    for name in there if split is None else [split]:
        chosen = frame[(frame["split"] == name) & frame["clip_id"].isin(labelled)]
        if len(chosen):
            return chosen.set_index("clip_id").sort_index(), name
    if split is not None and split not in there:
        raise RunError(f"{run}: has no predictions of split '{split}'", hint=f"{evaluate} --split {split}")
    raise DataError(
        f"{table.name}: none of the clips that {run} predicts has labels ({', '.join(there) or 'no split'})",
        hint="A report needs labels: evaluate a split that has them, such as --split val.",
    )


def _evaluated(path: Path, split: Split, table: ClipTable) -> tuple[tuple[str, ...], int | None]:
    """Return the notes and the chosen epoch that evaluation wrote, where the data are still the same."""
    try:
        kept = json.loads((path / METRICS).read_text(encoding="utf-8"))["splits"][split]
        fingerprint, notes, epoch = kept["data"]["fingerprint"], tuple(map(str, kept["notes"])), kept["epoch"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path / METRICS}: cannot be read: {error}", hint="Evaluate the run again.") from error
    if fingerprint != table.fingerprint:
        raise RunError(
            f"{path}: was evaluated on other data than {table.name} is now: clips, labels, splits or subjects differ",
            hint=f"Evaluate it on this data: eri evaluate {path} --data {table.root}",
        )
    return notes, None if epoch is None else int(epoch)


def _history(path: Path) -> pd.DataFrame | None:
    try:
        frame = pd.read_csv(path / HISTORY)
    except (OSError, ValueError):
        return None
    return frame if len(frame) and "epoch" in frame.columns else None


def _references(task: Task, split: str) -> tuple[Reference, ...]:
    """Return what papers report for the task and split, the best first."""
    found: dict[tuple[float, str], Reference] = {}
    for config in (load_config(name) for name in config_names()):
        published = config.published
        if published is None or published.task != task.name:
            continue
        value = {"val": published.validation, "test": published.test}.get(split)
        if value is not None:
            reference = Reference(config.name, _METRICS[published.metric], value, published.source)
            found.setdefault((value, published.source), reference)
    return tuple(sorted(found.values(), key=lambda one: -one.value))
