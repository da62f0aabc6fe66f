"""How the predictions of several members become one: weights on the simplex, ridge regression, or boosted trees."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from eri.config.tasks import TaskKind
from eri.metrics.intensities import Floats
from eri.runs.combination import Combination, Ridge, Trees, Weights, side_by_side

Method = Literal["mean", "weighted", "ridge", "lightgbm"]

CLASS_METHODS: tuple[Method, ...] = ("mean", "weighted")
"""What a combination of class probabilities may be: a mean of them, so that the result is probabilities too."""

_LEAST_PROBABILITY = 1e-12
_PENALTIES = np.logspace(-4, 2, 13)
"""Penalties that ridge regression chooses among, in units of the inputs' mean squared singular value."""

_TREES = 100
_TREE_SETTINGS: tuple[tuple[str, Any], ...] = (
    ("objective", "regression"),
    ("learning_rate", 0.05),
    ("num_leaves", 7),
    ("num_threads", 1),
    ("deterministic", True),
    ("force_row_wise", True),
    ("seed", 0),
    ("verbosity", -1),
)
"""Small trees: a few members give few inputs. One thread, so that the numbers are the same everywhere."""


def fit_combination(method: Method, stacked: Floats, truth: Floats, kind: TaskKind = "regression") -> Combination:
    """Fit a combination of members.

    Args:
        method: ``mean`` (nothing is fitted), ``weighted``, ``ridge`` or ``lightgbm``.
        stacked: (members, clips, labels), predictions of clips that the members were not fitted on.
        truth: (clips, labels).
        kind: What is predicted; class probabilities are put together by ``mean`` or ``weighted`` only.

    Raises:
        ValueError: A method that gives no probabilities.

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
    from scipy.optimize import LinearConstraint, minimize

    members = len(stacked)
    varies = np.ptp(truth, axis=0) > 0
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

    equal = np.full(members, 1.0 / members)
    best, least = equal, loss(equal)[0] if varies.any() else 0.0
    for start in (equal, *np.eye(members)) if varies.any() else ():
        found = minimize(
            loss,
            0.9 * start + 0.1 * equal,
            jac=True,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * members,
            constraints=LinearConstraint(np.ones((1, members)), 1.0, 1.0),
        )
        weights = np.clip(found.x, 0.0, None)
        weights = weights / weights.sum()
        value = loss(weights)[0]
        if value < least - 1e-9:
            best, least = weights, value
    return Weights(tuple(float(weight) for weight in best))


def fit_class_weights(stacked: Floats, truth: Floats) -> Weights:
    """Find the weights on the simplex with the smallest cross-entropy of the weighted class probabilities.

    Stacked density estimation (Smyth & Wolpert 1999, eq. 3): the loss is convex, so one search finds its only depth.

    Args:
        stacked: (members, clips, classes), probabilities.
        truth: One-hot, (clips, classes).
    """
    from scipy.optimize import LinearConstraint, minimize

    members = len(stacked)
    right = np.maximum(np.einsum("mcl,cl->mc", stacked, truth), _LEAST_PROBABILITY)

    def loss(weights: Floats) -> tuple[float, Floats]:
        mixed = np.maximum(weights @ right, _LEAST_PROBABILITY)
        return -float(np.log(mixed).mean()), -(right / mixed).mean(axis=1)

    found = minimize(
        loss,
        np.full(members, 1.0 / members),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * members,
        constraints=LinearConstraint(np.ones((1, members)), 1.0, 1.0),
    )
    weights = np.clip(found.x, 0.0, None)
    return Weights(tuple(float(weight) for weight in weights / weights.sum()))


def fit_ridge(stacked: Floats, truth: Floats) -> Ridge:
    """Fit ridge regression, with the penalty of the least generalised cross-validation error (Golub et al. 1979)."""
    inputs = side_by_side(stacked)
    middle, offset = inputs.mean(axis=0), truth.mean(axis=0)
    left, singular, right = np.linalg.svd(inputs - middle, full_matrices=False)
    squares = singular**2
    projected = left.T @ (truth - offset)
    rest = float(((truth - offset) ** 2).sum() - (projected**2).sum())
    unit = float(squares.mean()) or 1.0
    errors = []
    for penalty in _PENALTIES * unit:
        kept = squares / (squares + penalty)
        residual = rest + float(((1 - kept)[:, None] ** 2 * projected**2).sum())
        errors.append(residual / max(1e-12, 1 - (kept.sum() + 1) / len(inputs)) ** 2)
    chosen = float(_PENALTIES[int(np.argmin(errors))] * unit)
    coefficients = right.T @ ((singular / (squares + chosen))[:, None] * projected)
    intercept = offset - middle @ coefficients
    return Ridge(tuple(map(tuple, coefficients.tolist())), tuple(intercept.tolist()), chosen)


def fit_trees(stacked: Floats, truth: Floats) -> Trees:
    """Fit small boosted trees (Ke et al. 2017) for each label, of a fixed number, so that nothing is chosen."""
    import lightgbm

    inputs = side_by_side(stacked)
    settings = {**dict(_TREE_SETTINGS), "min_data_in_leaf": max(2, min(20, len(inputs) // 5))}
    models = []
    for column in truth.T:
        data = lightgbm.Dataset(inputs, label=column, params={"verbosity": -1})
        models.append(lightgbm.train(settings, data, _TREES).model_to_string())
    return Trees(tuple(models))
