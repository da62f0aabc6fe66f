"""Ensembles: a mean of members, weights on the simplex, ridge regression or boosted trees.

The reported score is taken on clips that nothing of the ensemble was fitted on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from eri.config import Runtime
from eri.config.tasks import TaskKind
from eri.data.clips import ClipTable, Split
from eri.evaluation.cross_validation import describe_data, is_there, scorer_of
from eri.evaluation.evaluate import write_parquet
from eri.evaluation.folds import FIVE_FOLDS, FoldPlan, make_folds
from eri.evaluation.held_out import HeldOut, common_clips, read_held_out
from eri.evaluation.jobs import StepDone, ignore
from eri.metrics.bootstrap import RESAMPLES
from eri.metrics.intensities import Floats
from eri.metrics.scoring import Scores
from eri.runs.combination import Combination, Ridge, Trees, Weights, side_by_side, to_json
from eri.runs.folders import FILES, kind_of, stamp_of
from eri.training.run_folder import PREDICTIONS, locked, run_path, writing
from eri.utils.errors import ConfigError, RunError
from eri.utils.files import write_json
from eri.utils.tables import Shown, Summary

Method = Literal["mean", "weighted", "ridge", "lightgbm"]

CLASS_METHODS: tuple[Method, ...] = ("mean", "weighted")
"""How class probabilities may be combined: by a mean of them, so that the result is probabilities too."""

_LEAST_PROBABILITY = 1e-12
_PENALTIES = np.logspace(-4, 2, 13)
"""Penalties that ridge regression chooses among, in units of the inputs' mean squared singular value."""

_TREES = 100
_TREE_SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        "objective": "regression",
        "learning_rate": 0.05,
        "num_leaves": 7,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "seed": 0,
        "verbosity": -1,
    }
)
"""Small trees: a few members give few inputs. One thread, so that the numbers are the same everywhere."""


@dataclass(frozen=True, repr=False)
class EnsembleReport(Shown):
    """The result of combining members.

    Attributes:
        path: Its folder.
        method: How members are combined.
        metrics: Nested scores: every clip is predicted by a combination that was fitted without its fold.
        fitted: Score of the final combination on the very clips that it was fitted on; None where undefined.
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

    It is fitted on clips that the members were not fitted on: out-of-fold, or a ``split`` that the runs were not
    trained on. For its score it is fitted again for each fold on the other folds, and predicts that fold; base models
    of other folds were fitted on labels of this fold, the combination was not. The folder holds ``ensemble.json`` (what
    was fitted on all clips) and ``predictions.parquet`` (the nested predictions).
    """
    task, scorer = table.task, scorer_of(table.task)
    path = run_path(runs, name if name is not None else f"ensemble-{method}")
    is_there(path, "ensemble", FILES["ensemble"], "Replace it: --overwrite.", allowed=overwrite)
    _refuse_members(members)
    if task.is_classification and method not in CLASS_METHODS:
        raise ConfigError(
            f"{method} gives no probabilities of the classes of '{task.name}'",
            hint=f"Use --method {' or '.join(CLASS_METHODS)}.",
        )
    opened = []
    for member in members:
        opened.append(read_held_out(member, table, features, split, runtime))
        on_event(StepDone(f"predictions of {member.name}", len(opened), len(members) + 1))
    ids = common_clips(opened)
    folds = _folds(opened, ids, table, plan)
    stacked = np.stack([member.values(ids) for member in opened])
    truth = table.label_matrix(ids)
    nested = np.clip(nested_predictions(method, stacked, truth, folds, task.kind), task.low, task.high)
    combination = fit_combination(method, stacked, truth, task.kind)
    combined = np.clip(combination.combine(stacked), task.low, task.high)
    fitted, *alone = (scorer.score(values, truth, resamples=0).score for values in (combined, *stacked))
    metrics = scorer.score(nested, truth, resamples=bootstrap)
    names = [member.name for member in members]
    if len(set(names)) < len(names):
        names = [str(member) for member in members]
    optimism = None if fitted is None or metrics.score is None else fitted - metrics.score
    weights = dict(zip(names, combination.values, strict=True)) if isinstance(combination, Weights) else None
    notes = tuple(dict.fromkeys(note for member in opened for note in member.notes))
    by_name = dict(zip(names, alone, strict=True))
    report = EnsembleReport(path, method, metrics, fitted, optimism, by_name, weights, notes)
    on_event(StepDone(f"combination by {method}", len(members) + 1, len(members) + 1))
    _write(report, opened, combination, table, pd.DataFrame(nested, index=ids, columns=list(task.labels)))
    return report


def nested_predictions(
    method: Method, stacked: Floats, truth: Floats, folds: Sequence[str], kind: TaskKind = "regression"
) -> Floats:
    """Predict each fold, (clips, labels), by a combination fitted on the others, from (members, clips, labels)."""
    names = np.asarray(folds)
    result = np.empty_like(truth)
    for name in dict.fromkeys(folds):
        held = names == name
        result[held] = fit_combination(method, stacked[:, ~held], truth[~held], kind).combine(stacked[:, held])
    return result


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


def _write(
    report: EnsembleReport, opened: Sequence[HeldOut], combination: Combination, table: ClipTable, nested: pd.DataFrame
) -> None:
    path = report.path
    members = []
    for member, mean in zip(opened, report.members.values(), strict=True):
        place = os.path.relpath(member.path.resolve(), path.resolve())
        members.append({"path": place, "kind": member.kind, "stamp": stamp_of(member.path), "mean": mean})
    values = {
        "method": report.method,
        "members": members,
        "metric": f"{scorer_of(table.task).described}, nested: no clip is scored by a combination fitted on its fold",
        "scores": report.metrics.to_json(),
        "fitted_on_itself": report.fitted,
        "optimism": report.optimism,
        "weights": report.weights,
        "notes": list(report.notes),
        "data": describe_data(table),
        "combination": to_json(combination),
    }
    with locked(path), writing(path):
        if path.exists():
            shutil.rmtree(path)
        write_parquet(path / PREDICTIONS, nested.rename_axis("clip_id").reset_index())
        write_json(path / FILES["ensemble"], values)


def fit_combination(method: Method, stacked: Floats, truth: Floats, kind: TaskKind = "regression") -> Combination:
    """Fit a combination of members on predictions, (members, clips, labels), of clips that these were not fitted on.

    Examples:
        >>> truth = np.random.default_rng(0).random((40, 2))
        >>> noise = np.random.default_rng(1).random((40, 2))
        >>> [round(weight, 2) for weight in fit_combination("weighted", np.stack([noise, truth]), truth).values]
        [0.0, 1.0]
    """
    if kind == "classification" and method not in CLASS_METHODS:
        raise ValueError(f"{method} gives no probabilities")
    match method:
        case "mean":
            return Weights((1.0 / len(stacked),) * len(stacked))
        case "weighted":
            return (fit_weights if kind == "regression" else fit_class_weights)(stacked, truth)
        case "ridge":
            return fit_ridge(stacked, truth)
        case "lightgbm":
            return fit_trees(stacked, truth)


def fit_weights(stacked: Floats, truth: Floats) -> Weights:
    """Find the weights on the simplex with the largest mean Pearson, over the labels that vary.

    The correlation of a weighted sum needs the covariances of members only, so each step costs no pass over clips. The
    search begins at equal weights and at each member alone, and the best end is taken; equal weights win ties.
    """
    members = len(stacked)
    equal = np.full(members, 1.0 / members)
    varies = np.ptp(truth, axis=0) > 0
    if not varies.any():
        return _weights(equal)
    centred = (stacked - stacked.mean(axis=1, keepdims=True))[:, :, varies]
    target = (truth - truth.mean(axis=0))[:, varies]
    target = target / np.linalg.norm(target, axis=0)
    gram = np.einsum("acl,bcl->lab", centred, centred)
    towards = np.einsum("acl,cl->la", centred, target)

    def loss(weights: Floats) -> tuple[float, Floats]:
        spread = np.sqrt(np.maximum(np.einsum("a,lab,b->l", weights, gram, weights), 1e-18))
        along = towards @ weights
        slope = towards / spread[:, None] - (along / spread**3)[:, None] * (gram @ weights)
        return -float(np.mean(along / spread)), -slope.mean(axis=0)

    best, least = equal, loss(equal)[0]
    for start in (equal, *np.eye(members)):
        weights = _minimise_on_simplex(loss, 0.9 * start + 0.1 * equal)
        value = loss(weights)[0]
        if value < least - 1e-9:
            best, least = weights, value
    return _weights(best)


def fit_class_weights(stacked: Floats, truth: Floats) -> Weights:
    """Find the weights on the simplex with the smallest cross-entropy of the weighted class probabilities.

    Stacked density estimation (Smyth & Wolpert 1999, eq. 3): the loss is convex, so one search finds its minimum.
    ``truth`` is one-hot.
    """
    right = np.maximum(np.einsum("mcl,cl->mc", stacked, truth), _LEAST_PROBABILITY)

    def loss(weights: Floats) -> tuple[float, Floats]:
        mixed = np.maximum(weights @ right, _LEAST_PROBABILITY)
        return -float(np.log(mixed).mean()), -(right / mixed).mean(axis=1)

    return _weights(_minimise_on_simplex(loss, np.full(len(stacked), 1.0 / len(stacked))))


def _minimise_on_simplex(loss: Callable[[Floats], tuple[float, Floats]], start: Floats) -> Floats:
    """Minimise a function, given with its gradient, over weights that are not negative and sum to 1."""
    from scipy.optimize import LinearConstraint, minimize

    found = minimize(
        loss,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(start),
        constraints=LinearConstraint(np.ones((1, len(start))), 1.0, 1.0),
    )
    weights: Floats = np.clip(found.x, 0.0, None)
    shares: Floats = weights / weights.sum()
    return shares


def _weights(values: Floats) -> Weights:
    return Weights(tuple(float(value) for value in values))


def fit_ridge(stacked: Floats, truth: Floats) -> Ridge:
    """Fit ridge regression, with the penalty of the least generalised cross-validation error (Golub et al. 1979)."""
    from sklearn.linear_model import Ridge as RidgeRegression

    inputs = side_by_side(stacked)
    squares = np.linalg.svd(inputs - inputs.mean(axis=0), compute_uv=False) ** 2
    penalties = _PENALTIES * (float(squares.mean()) or 1.0)
    models = [RidgeRegression(alpha=float(penalty), solver="svd").fit(inputs, truth) for penalty in penalties]

    def error(model: Any) -> float:
        residual = float(((truth - model.predict(inputs)) ** 2).sum())
        free = 1 - (float((squares / (squares + model.alpha)).sum()) + 1) / len(inputs)
        return residual / max(1e-12, free) ** 2

    best = min(models, key=error)
    return Ridge(tuple(map(tuple, best.coef_.T.tolist())), tuple(best.intercept_.tolist()), best.alpha)


def fit_trees(stacked: Floats, truth: Floats) -> Trees:
    """Fit small boosted trees (Ke et al. 2017) for each label, of a fixed number, so that nothing is chosen."""
    import lightgbm

    inputs = side_by_side(stacked)
    settings = {**_TREE_SETTINGS, "min_data_in_leaf": max(2, min(20, len(inputs) // 5))}
    models = []
    for column in truth.T:
        data = lightgbm.Dataset(inputs, label=column, params={"verbosity": -1})
        models.append(lightgbm.train(settings, data, _TREES).model_to_string())
    return Trees(tuple(models))
