"""Whether one system is better than another: paired bootstrap over clips, corrected for the number of comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eri.config import Runtime
from eri.data.clips import ClipTable, Split
from eri.errors import RunError
from eri.metrics import LEVEL, Floats, Interval, pearson, percentile_interval, resampled_pearson
from eri.selection.held_out import HeldOut, read_held_out

PAIRED_DRAWS = 2000


@dataclass(frozen=True)
class Difference:
    """How much better the first system is.

    Attributes:
        first: Pearson of the first; None where undefined.
        second: Pearson of the second; None where undefined.
        difference: First minus second; None where either is undefined.
        interval: Bootstrap interval of the difference.
        p: Two-sided p-value of no difference; None where there is none.
        corrected: The p-value after Holm's correction over all differences of the comparison.
    """

    first: float | None
    second: float | None
    difference: float | None
    interval: Interval | None
    p: float | None
    corrected: float | None


@dataclass(frozen=True)
class Comparison:
    """Two systems on the same clips.

    Attributes:
        first: Name of the first.
        second: Name of the second.
        clips: Clips compared on.
        mean: Of the mean Pearson, over the labels in which both are defined.
        labels: Of each label.
        left_out: Labels left out of the mean, because a prediction or label is constant.
        draws: Resamples of the clips.
        seed: Of the bootstrap.
        level: Share of draws inside an interval.
        notes: What a reader of the figures should know.
    """

    first: str
    second: str
    clips: int
    mean: Difference
    labels: dict[str, Difference]
    left_out: tuple[str, ...]
    draws: int
    seed: int
    level: float
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def compare(
    first: Path,
    second: Path,
    table: ClipTable,
    features: Path,
    *,
    split: Split = "val",
    draws: int = PAIRED_DRAWS,
    seed: int = 0,
    level: float = LEVEL,
    runtime: Runtime = Runtime(),
) -> Comparison:
    """Compare two runs, cross-validations or ensembles on the clips that their scores are taken on.

    Args:
        first: Folder of the first.
        second: Folder of the second.
        table: The data set that both were made on.
        features: Folder of the feature store.
        split: Of the clips that runs predict; cross-validations and ensembles have clips of their own.
        draws: Resamples of the clips; the smallest p-value is 2 / (draws + 1).
        seed: Of the bootstrap.
        level: Share of draws inside an interval.
        runtime: Its device is used.

    Raises:
        RunError: They predict other labels or other clips, or were made on other data.
    """
    opened = [read_held_out(path, table, features, split, runtime) for path in (first, second)]
    ids = common_clips(opened)
    truth = table.label_matrix(ids)
    values = [held_out.values(ids) for held_out in opened]
    names = (str(first), str(second)) if first.name == second.name else (first.name, second.name)
    notes = tuple(dict.fromkeys(note for held_out in opened for note in held_out.notes))
    return compare_predictions(
        values[0], values[1], truth, table.task.labels, names=names, draws=draws, seed=seed, level=level, notes=notes
    )


def compare_predictions(
    first: Floats,
    second: Floats,
    truth: Floats,
    labels: Sequence[str],
    *,
    names: tuple[str, str] = ("first", "second"),
    draws: int = PAIRED_DRAWS,
    seed: int = 0,
    level: float = LEVEL,
    notes: tuple[str, ...] = (),
) -> Comparison:
    """Compare two sets of predictions of the same clips.

    Both meet the same resamples of the clips. The p-value is twice the share of draws on the far side of zero, with one
    draw added to either count so that it is never zero (Davison & Hinkley 1997, section 4.2); those of all labels and
    of the mean are corrected by :func:`holm`.

    Args:
        first: (clips, labels), finite.
        second: The same shape.
        truth: The same shape.
        labels: One name a column.
        names: Of the two systems.
        draws: Resamples of the clips.
        seed: Of the bootstrap.
        level: Share of draws inside an interval.
        notes: Passed on.

    Examples:
        >>> truth = np.random.default_rng(0).random((50, 2))
        >>> result = compare_predictions(truth, 1 - truth, truth, ["Joy", "Fear"], draws=100)
        >>> result.mean.difference, round(result.labels["Joy"].p, 4), round(result.labels["Joy"].corrected, 4)
        (2.0, 0.0198, 0.0594)
    """
    scores = pearson(first, truth), pearson(second, truth)
    drawn = [resampled_pearson(values, truth, draws=draws, seed=seed) for values in (first, second)]
    gaps: Floats = drawn[0] - drawn[1]
    both = np.isfinite(scores[0]) & np.isfinite(scores[1])
    rows = [gaps[index] for index in range(len(labels))]
    pairs = [(scores[0][index], scores[1][index]) for index in range(len(labels))]
    if both.any():
        rows.append(gaps[both].mean(axis=0))
        pairs.append((scores[0][both].mean(), scores[1][both].mean()))
    else:
        rows.append(np.full(draws, np.nan))
        pairs.append((np.float64("nan"), np.float64("nan")))
    found = [
        _p_value(row) if np.isfinite(a) and np.isfinite(b) else None for row, (a, b) in zip(rows, pairs, strict=True)
    ]
    corrected = iter(holm([p for p in found if p is not None]))
    differences = [
        _difference(pair, row, p, None if p is None else next(corrected), level)
        for pair, row, p in zip(pairs, rows, found, strict=True)
    ]
    return Comparison(
        first=names[0],
        second=names[1],
        clips=len(truth),
        mean=differences[-1],
        labels=dict(zip(labels, differences[:-1], strict=True)),
        left_out=tuple(label for label, defined in zip(labels, both, strict=True) if not defined),
        draws=draws,
        seed=seed,
        level=level,
        notes=notes,
    )


def holm(values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979): the chance of any false finding stays below the level.

    Examples:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = largest
    return corrected


def common_clips(held_out: Sequence[HeldOut]) -> list[str]:
    """Return the clips that all predict, ascending.

    Raises:
        RunError: They predict other labels, other clips, or were made on other data.
    """
    first = held_out[0]
    for other in held_out[1:]:
        if (first.task.labels, first.task.low, first.task.high) != (other.task.labels, other.task.low, other.task.high):
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


def _p_value(gaps: Floats) -> float | None:
    defined = gaps[np.isfinite(gaps)]
    if 2 * len(defined) <= len(gaps):
        return None
    beyond = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return float(min(1.0, 2 * (1 + beyond) / (1 + len(defined))))


def _difference(
    pair: tuple[np.float64, np.float64], gaps: Floats, p: float | None, corrected: float | None, level: float
) -> Difference:
    first, second = (float(value) if np.isfinite(value) else None for value in pair)
    difference = None if first is None or second is None else first - second
    interval = None if difference is None else percentile_interval(gaps, level)
    return Difference(first, second, difference, interval, p, corrected)
