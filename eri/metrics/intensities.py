"""The official metric and its companions: Pearson per label in float64, its mean, bootstrap intervals, CCC and MSE.

The challenge scores :func:`scipy.stats.pearsonr` per label over all clips of a split, then the plain mean over labels,
without any epsilon: one constant column makes the official score undefined. Here such a column is reported by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eri.metrics.bootstrap import LEVEL, RESAMPLES, Bootstrap, Interval, percentile_interval, score_resamples

Floats = NDArray[np.float64]

_ROUNDING = 1e-12  # variance of a resample, as a share of the largest square of all clips, that is rounding


@dataclass(frozen=True)
class ScoreLine:
    """One line of a table of scores: of a label, or of a mean over labels; its value is None where it is undefined."""

    name: str
    value: float | None
    interval: Interval | None = None
    remark: str = ""


@dataclass(frozen=True)
class LabelScore:
    """How well one label is predicted.

    Attributes:
        pearson: Correlation in [-1, 1]; None where it is undefined.
        interval: Bootstrap interval of ``pearson``; None where that is undefined or in most resamples.
        ccc: Lin's concordance correlation in [-1, 1]; None where prediction and label are the same constant.
        mse: Mean squared error.
        reason: Why ``pearson`` is None.
    """

    pearson: float | None
    interval: Interval | None
    ccc: float | None
    mse: float
    reason: str | None = None


@dataclass(frozen=True)
class Metrics:
    """The scores of one set of predictions.

    Attributes:
        clips: Number of clips scored.
        labels: A score for each label, in the task's order.
        mean: The official score, mean Pearson over all labels; None when any label's is undefined.
        mean_defined: Mean Pearson over the labels where it is defined; None when there is none.
        interval: Bootstrap interval of ``mean_defined``.
        constant: Names of the labels whose prediction or truth does not vary, in the task's order.
        ccc: Mean concordance correlation over the labels where it is defined.
        mse: Mean squared error over all labels.
        bootstrap: How the intervals were made.
        metric: Short name of what systems are ranked by.
        heading: Column heading of the values of :meth:`lines`.
    """

    metric: ClassVar[str] = "Pearson"
    heading: ClassVar[str] = "Pearson"

    clips: int
    labels: dict[str, LabelScore]
    mean: float | None
    mean_defined: float | None
    interval: Interval | None
    constant: tuple[str, ...]
    ccc: float | None
    mse: float
    bootstrap: Bootstrap

    @property
    def score(self) -> float | None:
        """What systems are ranked by: the official mean."""
        return self.mean

    @property
    def remark(self) -> str:
        """Which labels make the official mean undefined."""
        return f"constant: {', '.join(self.constant)}" if self.constant else ""

    def lines(self) -> list[ScoreLine]:
        """Return the lines of a table: each label's Pearson, their mean, and that of the defined ones."""
        lines = [ScoreLine(name, of.pearson, of.interval, of.reason or "") for name, of in self.labels.items()]
        lines.append(ScoreLine("mean", self.mean, self.interval, self.remark))
        if self.mean is None:
            lines.append(ScoreLine("mean of the defined", self.mean_defined, self.interval))
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; what is undefined is null, with its reason beside it."""
        return {**asdict(self), "constant": list(self.constant)}


def pearson(predictions: ArrayLike, labels: ArrayLike) -> Floats:
    """Correlate each column of predictions with the same column of labels, (clips, labels) each; NaN where undefined.

    Two passes in float64, centred and scaled before the product (the formula of :func:`scipy.stats.pearsonr`, eq. 2 of
    Qian et al. 2023), so that large offsets do not cancel the signal. It is undefined where a column is constant or
    there are fewer than two clips. Raises ValueError where the shapes differ or a value is not finite.

    >>> pearson([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]], [[1.0, 0.0], [2.0, 1.0], [4.0, 0.0]]).round(4).tolist()
    [0.982, nan]
    """
    return _correlate(*_columns(predictions, labels))


def score(
    predictions: ArrayLike, labels: ArrayLike, names: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> Metrics:
    """Score predictions, (clips, labels), with all that is reported of them; 0 resamples leave the intervals out.

    Raises ValueError where shapes do not fit, a value is not finite, there is no clip, or ``resamples`` is negative.

    >>> result = score([[0.1, 0.5], [0.4, 0.5], [0.3, 0.5]], [[0.0, 1.0], [1.0, 0.0], [0.2, 0.3]], ["Fear", "Joy"])
    >>> result.mean, round(result.mean_defined, 3), result.constant, result.labels["Joy"].reason
    (None, 0.866, ('Joy',), 'constant prediction')
    """
    x, y = _columns(predictions, labels)
    if len(x) != len(names):
        raise ValueError(f"{len(names)} names for {len(x)} columns")
    if x.shape[1] == 0:
        raise ValueError("no clip to score")
    values, ccc, mse = _correlate(x, y), _concordance(x, y), np.mean((x - y) ** 2, axis=1)
    defined = np.isfinite(values)
    resampled = resample_pearson(predictions, labels, resamples=resamples, seed=seed)
    scores = {
        name: LabelScore(
            pearson=float(values[i]) if defined[i] else None,
            interval=percentile_interval(resampled[i]) if defined[i] else None,
            ccc=float(ccc[i]) if np.isfinite(ccc[i]) else None,
            mse=float(mse[i]),
            reason=None if defined[i] else _reason(x[i], y[i]),
        )
        for i, name in enumerate(names)
    }
    return Metrics(
        clips=x.shape[1],
        labels=scores,
        mean=_mean(values) if defined.all() else None,
        mean_defined=_mean(values),
        interval=percentile_interval(resampled[defined].mean(axis=0)) if defined.any() else None,
        constant=tuple(name for i, name in enumerate(names) if not defined[i]),
        ccc=_mean(ccc),
        mse=float(mse.mean()),
        bootstrap=Bootstrap(resamples, seed, LEVEL, int(np.isnan(resampled[defined]).any(axis=0).sum())),
    )


def resample_pearson(
    predictions: ArrayLike,
    labels: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    subjects: Sequence[str] | None = None,
) -> Floats:
    """Correlate resamples of the clips or of their subjects, (labels, resamples); NaN where one is constant.

    Raises ValueError as :func:`pearson` does, or where there are fewer than two subjects.
    """
    x, y = (_centre(values) for values in _columns(predictions, labels))

    def correlate(counts: Floats) -> Floats:
        shares = (counts / counts.sum(axis=1, keepdims=True)).T
        mean_x, mean_y = x @ shares, y @ shares
        covariance = (x * y) @ shares - mean_x * mean_y
        spread_x, spread_y = x**2 @ shares - mean_x**2, y**2 @ shares - mean_y**2
        varies = (spread_x > _ROUNDING) & (spread_y > _ROUNDING)
        result = np.full(covariance.shape, np.nan)
        np.divide(covariance, np.sqrt(np.maximum(spread_x * spread_y, 0)), out=result, where=varies)
        return np.clip(result, -1.0, 1.0)

    return score_resamples(correlate, x.shape[1], resamples, seed, subjects)


def checked(values: ArrayLike, truth: ArrayLike, what: str, axes: str) -> tuple[Floats, Floats]:
    """Return predictions and labels in float64; raise ValueError where they are no finite matrices of one shape."""
    pair = np.asarray(values, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    for name, array in zip((what, "labels"), pair, strict=True):
        if array.ndim != 2:
            raise ValueError(f"{name} have {array.ndim} dimensions; expected {axes}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: a value is not finite (row {int(np.argwhere(~np.isfinite(array))[0, 0])})")
    if pair[0].shape != pair[1].shape:
        raise ValueError(f"{what} are {pair[0].shape}, labels are {pair[1].shape}")
    return pair


def _columns(predictions: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    """Return one label a row, contiguous: NumPy sums rows pairwise, which keeps the rounding error small."""
    x, y = checked(predictions, labels, "predictions", "(clips, labels)")
    return np.ascontiguousarray(x.T), np.ascontiguousarray(y.T)


def _correlate(x: Floats, y: Floats) -> Floats:
    """Correlate along the last axis; NaN where one side does not vary."""
    if x.shape[-1] < 2:
        return np.full(x.shape[:-1], np.nan)
    constant = _is_constant(x) | _is_constant(y)
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.clip(np.vecdot(_unit(x), _unit(y)), -1.0, 1.0)
    result[constant] = np.nan
    return np.round(result) if x.shape[-1] == 2 else result


def _unit(values: Floats) -> Floats:
    """Centre the last axis and divide it by its norm, scaled first so that no square overflows."""
    centred = values - values.mean(axis=-1, keepdims=True)
    largest = np.abs(centred).max(axis=-1, keepdims=True)
    scaled = centred / largest
    unit: Floats = centred / (largest * np.sqrt(np.vecdot(scaled, scaled))[..., np.newaxis])
    return unit


def _centre(values: Floats) -> Floats:
    """Shift and scale rows to the mean 0 of all clips and the largest size 1.

    The mean of a resample is near that of all clips, so that subtracting its square cancels few digits.
    """
    centred = values - values.mean(axis=1, keepdims=True)
    largest = np.abs(centred).max(axis=1, keepdims=True, initial=0.0)
    scaled: Floats = centred / np.where(largest > 0, largest, 1.0)
    return scaled


def _is_constant(values: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.equal(values, values[..., :1]).all(axis=-1), dtype=np.bool_)


def _concordance(x: Floats, y: Floats) -> Floats:
    """Lin's concordance correlation (Lin 1989), with moments over n as the field has it."""
    covariance = np.mean((x - x.mean(axis=1, keepdims=True)) * (y - y.mean(axis=1, keepdims=True)), axis=1)
    spread = x.var(axis=1) + y.var(axis=1) + (x.mean(axis=1) - y.mean(axis=1)) ** 2
    result = np.full(len(x), np.nan)
    np.divide(2 * covariance, spread, out=result, where=spread > 0)
    return result


def _mean(values: Floats) -> float | None:
    """Average what is defined."""
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else None


def _reason(x: Floats, y: Floats) -> str:
    if len(x) < 2:
        return "fewer than two clips"
    sides = [name for name, values in (("prediction", x), ("label", y)) if _is_constant(values)]
    return f"constant {' and '.join(sides)}"
