"""How predictions of several models become one: their mean, weights on the simplex, ridge regression, or trees."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from eri.config.tasks import Task
from eri.metrics.intensities import Floats


def average(predictions: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Average several predictions of each clip: rows of ``clip_id``, labels and ``rule``, one for each clip and model.

    The result is indexed by ``clip_id``, ascending; ``rule`` is that of any model which followed one.
    """
    grouped = predictions.groupby("clip_id", sort=True)
    return grouped[list(task.labels)].mean().assign(rule=grouped["rule"].max())


@dataclass(frozen=True)
class Weights:
    """A weight for each member, not negative, with sum 1."""

    values: tuple[float, ...]

    def combine(self, stacked: Floats) -> Floats:
        """Return (clips, labels) from the members' predictions, (members, clips, labels)."""
        return np.asarray(np.tensordot(np.asarray(self.values), stacked, axes=1))


@dataclass(frozen=True)
class Ridge:
    """A linear map from all labels of all members to each label, fitted with the penalty."""

    coefficients: tuple[tuple[float, ...], ...]  # (members · labels, labels)
    intercept: tuple[float, ...]  # (labels,)
    penalty: float

    def combine(self, stacked: Floats) -> Floats:
        """Return (clips, labels) from the members' predictions, (members, clips, labels)."""
        return np.asarray(side_by_side(stacked) @ np.asarray(self.coefficients) + np.asarray(self.intercept))


@dataclass(frozen=True)
class Trees:
    """LightGBM models, one per label, as the text that LightGBM writes."""

    models: tuple[str, ...]

    def combine(self, stacked: Floats) -> Floats:
        """Return (clips, labels) from the members' predictions, (members, clips, labels)."""
        from lightgbm import Booster

        inputs = side_by_side(stacked)
        columns = [np.asarray(Booster(model_str=model).predict(inputs), dtype=np.float64) for model in self.models]
        return np.stack(columns, axis=1)


Combination = Weights | Ridge | Trees
_KINDS: dict[str, type[Combination]] = {"Weights": Weights, "Ridge": Ridge, "Trees": Trees}


def side_by_side(stacked: Floats) -> Floats:
    """Return all labels of all members for each clip, (clips, members · labels), from (members, clips, labels)."""
    return np.concatenate(list(stacked), axis=1)


def to_json(combination: Combination) -> dict[str, Any]:
    """Return JSON values that :func:`from_json` reads back to the bit."""
    return {"kind": type(combination).__name__, **asdict(combination)}


def from_json(values: dict[str, Any]) -> Combination:
    """Read what :func:`to_json` gave; ValueError for an unknown kind, TypeError where a value is missing."""
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    name: Any = fields.pop("kind", None)
    if name not in _KINDS:
        raise ValueError(f"kind of combination '{name}' is unknown")
    return _KINDS[name](**fields)
