"""Ensembles whose reported score is taken on clips that nothing of the ensemble was fitted on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from eri.config import Runtime
from eri.config.tasks import Task, TaskKind
from eri.data.clips import ClipTable, Split
from eri.evaluation.combining import CLASS_METHODS, Method, fit_combination
from eri.evaluation.comparison import common_clips
from eri.evaluation.cross_validation import PREDICTIONS, scorer_of
from eri.evaluation.events import StepDone, ignore
from eri.evaluation.folds import FIVE_FOLDS, FoldPlan, make_folds
from eri.evaluation.held_out import HeldOut, read_held_out
from eri.metrics.bootstrap import RESAMPLES
from eri.metrics.intensities import Floats
from eri.metrics.scoring import Scores
from eri.runs.combination import Combination, Weights, to_json
from eri.runs.folders import FILES, kind_of, stamp_of
from eri.training.run_folder import locked, run_path, writing
from eri.utils.errors import ConfigError, RunError
from eri.utils.files import atomic_path, write_json
from eri.utils.tables import Shown, Summary


@dataclass(frozen=True, repr=False)
class EnsembleReport(Shown):
    """The result of combining members.

    Attributes:
        path: Its folder.
        method: How members are combined.
        metrics: Nested scores: every clip is predicted by a combination that was fitted without its fold.
        fitted: Score (mean Pearson, or WAR) of the final combination on the very clips that it was fitted on; None
            where undefined.
        optimism: ``fitted`` minus the nested score: how much a score on the data used to choose promises too much.
        members: Score of each member alone on the same clips; None where undefined.
        weights: Weight of each member; None where the combination has none.
        notes: What a reader of the scores should know.
    """

    path: Path
    method: Method
    metrics: Scores
    fitted: float | None
    optimism: float | None
    members: dict[str, float | None]
    weights: dict[str, float] | None
    notes: tuple[str, ...]

    def as_table(self) -> Summary:
        """Return the score of each label, and of each member."""
        rows: list[tuple[object, ...]] = [(line.name, line.value, line.interval) for line in self.metrics.lines()]
        rows += [(f"{name} alone", value, None) for name, value in self.members.items()]
        title = f"{self.path.name}, nested over {self.metrics.clips} clips"
        return Summary(title, ("", "score", "95 % interval"), rows, notes=self.notes)


def ensemble(
    members: Sequence[Path],
    table: ClipTable,
    features: Path,
    runs: Path,
    runtime: Runtime = Runtime(),
    *,
    method: Method = "weighted",
    split: Split = "val",
    plan: FoldPlan = FIVE_FOLDS,
    name: str | None = None,
    overwrite: bool = False,
    bootstrap: int = RESAMPLES,
    on_event: Callable[[StepDone], None] = ignore,
) -> EnsembleReport:
    """Combine runs or cross-validations, and score them on clips that the combination was not fitted on.

    The combination is fitted on predictions of clips that the members were not fitted on: out-of-fold predictions of
    cross-validations, or those of a split that the runs were not trained on. For its score it is fitted again for each
    fold on the other folds, and predicts that fold. Base models of other folds were fitted on labels of this fold; the
    combination itself was not.

    The folder holds what was fitted on all clips (``ensemble.json``) and the nested predictions
    (``predictions.parquet``); :func:`eri.evaluation.evaluate.predict` predicts any other split with it.

    Args:
        members: Folders of two or more runs, or of two or more cross-validations with the same folds.
        table: The data set that all were made on.
        features: Folder of the feature store.
        runs: Folder that the ensemble's folder is made in.
        runtime: Its device is used.
        method: ``mean``, ``weighted`` (simplex), ``ridge`` or ``lightgbm``; class probabilities take the first two.
        split: Split of the clips that runs predict.
        plan: How these are split into folds; cross-validations have folds of their own.
        name: Name of the folder; None is ``ensemble-<method>``.
        overwrite: Replace an ensemble of this name.
        bootstrap: Bootstrap resamples behind the intervals; 0 leaves them out.
        on_event: Called when the predictions of each member are there, and when the combination is fitted.

    Raises:
        ConfigError: Fewer than two members, a repeated one, the split that runs were fitted on, or a method that gives
            no class probabilities.
        RunError: Members of different label sets, splits, folds or kinds; or the folder is there already.
    """
    path = run_path(runs, name if name is not None else f"ensemble-{method}")
    _refuse_existing(path, overwrite=overwrite)
    _refuse_members(members)
    _refuse_method(method, table.task)
    opened = []
    for member in members:
        opened.append(read_held_out(member, table, features, split, runtime))
        on_event(StepDone(f"predictions of {member.name}", len(opened), len(members) + 1))
    ids = common_clips(opened)
    folds = _folds(opened, ids, table, plan)
    stacked = np.stack([member.values(ids) for member in opened])
    truth = table.label_matrix(ids)
    task, scorer = table.task, scorer_of(table.task)
    nested = np.clip(nested_predictions(method, stacked, truth, folds, task.kind), task.low, task.high)
    combination = fit_combination(method, stacked, truth, task.kind)
    combined = np.clip(combination.combine(stacked), task.low, task.high)
    fitted, metrics = scorer.score(combined, truth, resamples=0).score, scorer.score(nested, truth, resamples=bootstrap)
    names = _names(members)
    report = EnsembleReport(
        path=path,
        method=method,
        metrics=metrics,
        fitted=fitted,
        optimism=None if fitted is None or metrics.score is None else fitted - metrics.score,
        members={
            name: scorer.score(values, truth, resamples=0).score for name, values in zip(names, stacked, strict=True)
        },
        weights=dict(zip(names, combination.values, strict=True)) if isinstance(combination, Weights) else None,
        notes=tuple(dict.fromkeys(note for member in opened for note in member.notes)),
    )
    on_event(StepDone(f"combination by {method}", len(members) + 1, len(members) + 1))
    _write(report, opened, combination, table, pd.DataFrame(nested, index=ids, columns=list(task.labels)))
    return report


def nested_predictions(
    method: Method, stacked: Floats, truth: Floats, folds: Sequence[str], kind: TaskKind = "regression"
) -> Floats:
    """Predict each fold by a combination that was fitted on the others.

    Args:
        method: See :func:`eri.evaluation.combining.fit_combination`.
        stacked: (members, clips, labels).
        truth: (clips, labels).
        folds: Name of the fold of each clip.
        kind: What is predicted.

    Returns:
        (clips, labels).
    """
    names = np.asarray(folds)
    result = np.empty_like(truth)
    for name in dict.fromkeys(folds):
        held = names == name
        result[held] = fit_combination(method, stacked[:, ~held], truth[~held], kind).combine(stacked[:, held])
    return result


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    if not path.exists():
        return
    if not (path / FILES["ensemble"]).is_file() and any(path.iterdir()):
        raise RunError(f"{path}: is there already and is no ensemble", hint="Choose another --name.")
    if not overwrite:
        raise RunError(f"{path}: the ensemble exists already", hint="Replace it: --overwrite. Keep it: --name OTHER.")


def _refuse_method(method: Method, task: Task) -> None:
    if task.is_classification and method not in CLASS_METHODS:
        raise ConfigError(
            f"{method} gives no probabilities of the classes of '{task.name}'",
            hint=f"Use --method {' or '.join(CLASS_METHODS)}.",
        )


def _refuse_members(members: Sequence[Path]) -> None:
    if len(members) < 2:
        raise ConfigError("an ensemble needs two members or more", hint="Name the folders of two runs.")
    resolved = [member.resolve() for member in members]
    for member, place in zip(members, resolved, strict=True):
        if resolved.count(place) > 1:
            raise ConfigError(f"{member}: is repeated among the members", hint="Name each run once.")
        if kind_of(member) == "ensemble":
            raise ConfigError(
                f"{member}: is an ensemble; its predictions were fitted on these clips", hint="Name its members."
            )


def _folds(opened: Sequence[HeldOut], ids: Sequence[str], table: ClipTable, plan: FoldPlan) -> list[str]:
    """Return the fold of each clip: that of the cross-validations, which must agree, or one made for runs."""
    first = opened[0]
    for other in opened[1:]:
        if other.kind != first.kind:
            raise RunError(
                f"{first.path} is a {first.kind}, but {other.path} is a {other.kind}",
                hint="Combine runs with runs, and cross-validations with cross-validations.",
            )
        differing = [clip_id for clip_id in ids if first.folds.get(clip_id) != other.folds.get(clip_id)]
        if differing:
            raise RunError(
                f"{first.path} and {other.path} have different folds: clip '{differing[0]}' is in fold "
                f"'{first.folds.get(differing[0])}' and '{other.folds.get(differing[0])}'",
                hint=f"Cross-validate with the same folds: --folds-file {first.path / 'folds.csv'}",
            )
    fold_of = first.folds
    if first.kind == "run":
        made = make_folds([table[clip_id] for clip_id in ids], plan, classes=table.task.classes)
        fold_of = {clip_id: fold.name for fold in made if fold.repeat == 1 for clip_id in fold.score}
    return [fold_of[clip_id] for clip_id in ids]


def _names(members: Sequence[Path]) -> list[str]:
    """Return the folders' names; their paths where two have the same."""
    names = [member.name for member in members]
    return names if len(set(names)) == len(names) else [str(member) for member in members]


def _write(
    report: EnsembleReport,
    opened: Sequence[HeldOut],
    combination: Combination,
    table: ClipTable,
    predictions: pd.DataFrame,
) -> None:
    path = report.path
    values = {
        "method": report.method,
        "members": [
            {
                "path": os.path.relpath(member.path.resolve(), path.resolve()),
                "kind": member.kind,
                "stamp": stamp_of(member.path),
                "mean": mean,
            }
            for member, mean in zip(opened, report.members.values(), strict=True)
        ],
        "metric": f"{scorer_of(table.task).described}, nested: no clip is scored by a combination fitted on its fold",
        "scores": report.metrics.to_json(),
        "fitted_on_itself": report.fitted,
        "optimism": report.optimism,
        "weights": report.weights,
        "notes": list(report.notes),
        "data": {
            "name": table.name,
            "fingerprint": table.fingerprint,
            "task": {**asdict(table.task), "labels": list(table.task.labels)},
        },
        "combination": to_json(combination),
    }
    with locked(path), writing(path):
        if path.exists():
            shutil.rmtree(path)
        with atomic_path(path / PREDICTIONS) as temporary:
            predictions.rename_axis("clip_id").reset_index().to_parquet(temporary, index=False)
        write_json(path / FILES["ensemble"], values)
