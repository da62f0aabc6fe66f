"""How the predictions of several members become one: weights on the simplex, ridge regression, or boosted trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from eri.config.tasks import TaskKind
from eri.metrics.intensities import Floats
from eri.runs.combination import Combination, Ridge, Trees, Weights, side_by_side

Method = Literal["mean", "weighted", "ridge", "lightgbm"]

CLASS_METHODS: tuple[Method, ...] = ("mean", "weighted")
"""How class probabilities may be combined: by a mean of them, so that the result is probabilities too."""

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
        kind: Kind of the task; class probabilities are combined by ``mean`` or ``weighted`` only.

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

    Args:
        stacked: (members, clips, labels).
        truth: (clips, labels).
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

    Args:
        stacked: (members, clips, classes), probabilities.
        truth: One-hot, (clips, classes).
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
    settings = {**dict(_TREE_SETTINGS), "min_data_in_leaf": max(2, min(20, len(inputs) // 5))}
    models = []
    for column in truth.T:
        data = lightgbm.Dataset(inputs, label=column, params={"verbosity": -1})
        models.append(lightgbm.train(settings, data, _TREES).model_to_string())
    return Trees(tuple(models))
