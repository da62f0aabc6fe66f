"""Whether one system is better than another: paired bootstrap, corrected for the number of comparisons."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from eri.config import Runtime
from eri.config.tasks import TaskKind
from eri.data.clips import ClipTable, Split
from eri.evaluation.held_out import HeldOut, common_clips, read_held_out
from eri.evaluation.jobs import StepDone, ignore
from eri.metrics.bootstrap import LEVEL, Interval, percentile_interval
from eri.metrics.intensities import Floats
from eri.metrics.scoring import create_scorer
from eri.utils.errors import DataError
from eri.utils.tables import Shown, Summary

Tail = Literal["greater", "two-sided"]

SIGNIFICANCE = 0.05
PAIRED_RESAMPLES, _SEED = 2000, 0
_ROUNDING = 1e-12  # differences of two scores that are equal but for their last digits


@dataclass(frozen=True)
class FoldComparison:
    """The t-test of two systems over the same folds."""

    folds: int
    first: float  # mean score
    second: float  # likewise
    difference: float  # first minus second
    statistic: float | None  # Student's t; infinite where all folds differ by the same amount, None where none differs
    p: float | None  # chance of a difference at least as large if there were none; None where no fold differs
    significant: bool
    tail: Tail  # which differences count: ``greater`` only those in favour of the first
    corrected: bool  # whether the variance was, for train sets that overlap


def compare_folds(
    first: Sequence[float], second: Sequence[float], *, tail: Tail = "greater", test_share: float | None = None
) -> FoldComparison:
    """Test whether the first system scores higher than the second over the same two or more folds, in one order.

    Haddad et al. 2020 do not name the test of their tables 4 and 5: of the usual ones a paired t-test with one tail
    alone gives their p-values from their scores. The folds' train sets overlap, so that it finds differences too
    readily: with ``test_share``, the share of the clips in one fold's test set, on (0, 1), the variance is that of
    Nadeau & Bengio (2003), ``(1/n + test / train) σ²`` in place of ``σ² / n``.

    Examples:
        >>> result = compare_folds([81, 84, 80, 85], [80, 82, 80, 82])
        >>> round(result.statistic, 4), round(result.p, 4), result.significant
        (2.3238, 0.0514, False)
    """
    from scipy.stats import t as student

    number = len(first)
    if number != len(second) or number < 2:
        raise ValueError(f"the same two or more folds are compared, not {number} with {len(second)}")
    gaps = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    if not np.isfinite(gaps).all():
        raise ValueError("a fold's score is not finite")
    if test_share is not None and not 0 < test_share < 1:
        raise ValueError(f"test_share is on (0, 1), not {test_share}")
    mean, variance = float(gaps.mean()), float(gaps.var(ddof=1))
    # Scores such as 0.1 + 0.2 leave differences that are equal but for their last digit.
    if variance <= (_ROUNDING * float(np.abs([first, second]).max())) ** 2:
        variance = 0.0
    factor = 1 / number + (0.0 if test_share is None else test_share / (1 - test_share))
    statistic, p = None, None
    if variance > 0:
        statistic = mean / math.sqrt(factor * variance)
    elif mean != 0:
        statistic = math.copysign(math.inf, mean)
    if statistic is not None:
        p = float(student.sf(statistic, number - 1))
        p = p if tail == "greater" else 2 * min(p, 1 - p)
    significant, means = p is not None and p < SIGNIFICANCE, (float(np.mean(first)), float(np.mean(second)))
    return FoldComparison(number, *means, mean, statistic, p, significant, tail, corrected=test_share is not None)


@dataclass(frozen=True)
class Difference:
    """How much better the first system is; None where a score is undefined."""

    first: float | None
    second: float | None
    difference: float | None  # first minus second
    interval: Interval | None  # bootstrap interval of the difference
    p: float | None  # two-sided p-value of no difference
    corrected: float | None  # the same after Holm's correction over all differences of the comparison


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """Two systems on the same clips.

    Attributes:
        first: Name of the first.
        second: Name of the second.
        clips: Number of clips compared on.
        mean: Difference of the mean over the labels in which both are defined: mean Pearson, or UAR.
        labels: Difference of each label's Pearson, or of the recall of each class.
        left_out: Labels left out of the mean, because a prediction or label is constant, or a class has no clip.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.
        level: Share of resamples inside an interval.
        notes: What a reader of the scores should know.
        overall: Difference of WAR, where the labels are classes; None where they are intensities.
        averaged_as: Name of ``mean``: ``mean`` or ``UAR``.
        over_folds: For two cross-validations with the same folds: the paired t-test over them with one tail, as papers
            report it, and with both and the variance corrected for train sets that overlap; else nothing.
        subjects: Number of subjects that were resampled in place of clips; None where clips were.
    """

    first: str
    second: str
    clips: int
    mean: Difference
    labels: dict[str, Difference]
    left_out: tuple[str, ...]
    resamples: int
    seed: int
    level: float
    notes: tuple[str, ...]
    overall: Difference | None = None
    averaged_as: str = "mean"
    over_folds: tuple[FoldComparison, ...] = ()
    subjects: int | None = None

    def pairs(self) -> dict[str, Difference]:
        """Return every difference by its name: the labels', their mean, and WAR where there is one."""
        return {**self.labels, self.averaged_as: self.mean, **({"WAR": self.overall} if self.overall else {})}

    def as_table(self) -> Summary:
        """Return the difference of each label."""
        rows = [
            (name, one.first, one.second, one.difference, one.interval, one.corrected)
            for name, one in self.pairs().items()
        ]
        headers = ("", "first", "second", "difference", f"{self.level:.0%} interval", "p, Holm")
        title = f"{self.first} against {self.second}, {self.clips} clips"
        return Summary(title, headers, rows, notes=self.notes)

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
    resamples: int = PAIRED_RESAMPLES,
    by: Literal["clip", "subject"] = "clip",
    runtime: Runtime = Runtime(),
    on_event: Callable[[StepDone], None] = ignore,
) -> Comparison:
    """Compare two runs, cross-validations or ensembles on the clips that their scores are taken on.

    Runs predict ``split``. Clips are resampled, or subjects with all their clips: a :class:`DataError` where the data
    set names fewer than two for these clips. The smallest p-value is 2 / (resamples + 1).
    """
    opened = []
    for path in (first, second):
        opened.append(read_held_out(path, table, features, split, runtime))
        on_event(StepDone(f"predictions of {path.name}", len(opened), 3))
    ids = common_clips(opened)
    one, other = (held_out.values(ids) for held_out in opened)
    result = compare_predictions(
        one,
        other,
        table.label_matrix(ids),
        table.task.labels,
        kind=table.task.kind,
        names=(str(first), str(second)) if first.name == second.name else (first.name, second.name),
        resamples=resamples,
        notes=tuple(dict.fromkeys(note for held_out in opened for note in held_out.notes)),
        subjects=_subjects(table, ids) if by == "subject" else None,
    )
    on_event(StepDone(f"{resamples} resamples", 3, 3))
    return replace(result, over_folds=_over_folds(opened, table))


def _subjects(table: ClipTable, ids: Sequence[str]) -> list[str]:
    """Return the subject of each clip."""
    named = {clip_id: table[clip_id].group for clip_id in ids}
    unknown = [clip_id for clip_id, subject in named.items() if subject is None]
    if unknown or len(set(named.values())) < 2:
        lacking = f"no subject for clip '{unknown[0]}'" if unknown else "one subject only for these clips"
        raise DataError(
            f"the data set names {lacking}, so subjects cannot be resampled", hint="Resample clips: --by clip."
        )
    return [str(subject) for subject in named.values()]


def _over_folds(opened: Sequence[HeldOut], table: ClipTable) -> tuple[FoldComparison, ...]:
    """Test the scores of the folds of two cross-validations; nothing where the folds or a score are missing."""
    first, second = opened
    if not first.folds or first.folds != second.folds:
        return ()
    members: dict[str, list[str]] = defaultdict(list)
    for clip_id, fold in first.folds.items():
        members[fold].append(clip_id)
    scorer = create_scorer(table.task.kind, table.task.labels)
    scores = [
        [scorer.score(one.values(ids), table.label_matrix(ids), resamples=0).score for ids in members.values()]
        for one in opened
    ]
    defined = [[score for score in row if score is not None] for row in scores]
    if any(len(row) < len(members) for row in defined):
        return ()
    corrected = compare_folds(*defined, tail="two-sided", test_share=1 / len(members))
    return compare_folds(*defined), corrected


def compare_predictions(
    first: Floats,
    second: Floats,
    truth: Floats,
    labels: Sequence[str],
    *,
    kind: TaskKind = "regression",
    names: tuple[str, str] = ("first", "second"),
    resamples: int = PAIRED_RESAMPLES,
    notes: tuple[str, ...] = (),
    subjects: Sequence[str] | None = None,
) -> Comparison:
    """Compare two sets of predictions of the same clips, each (clips, labels), on the same resamples of them.

    The p-value is twice the share of resamples on the far side of zero, with one added to either count so that it is
    never zero (Davison & Hinkley 1997, section 4.2); those of all labels and of the means are corrected by
    :func:`holm`.

    Examples:
        >>> truth = np.random.default_rng(0).random((50, 2))
        >>> result = compare_predictions(truth, 1 - truth, truth, ["Joy", "Fear"], resamples=100)
        >>> result.mean.difference, round(result.labels["Joy"].p, 4), round(result.labels["Joy"].corrected, 4)
        (2.0, 0.0198, 0.0594)
    """
    scorer = create_scorer(kind, labels)
    one, other = (
        scorer.resample(values, truth, resamples=resamples, seed=_SEED, subjects=subjects) for values in (first, second)
    )
    gaps = one.resampled - other.resampled
    both = np.isfinite(one.labels) & np.isfinite(other.labels)
    rows = [*zip(one.labels, other.labels, gaps, strict=True)]
    if both.any():
        rows.append((one.labels[both].mean(), other.labels[both].mean(), scorer.averaged(gaps[both])))
    else:
        rows.append((np.nan, np.nan, np.full(resamples, np.nan)))
    if one.overall is not None and other.overall is not None:
        rows.append((one.overall[0], other.overall[0], one.overall[1] - other.overall[1]))
    differences = _differences(rows)
    count = len(labels)
    by_label = dict(zip(labels, differences[:count], strict=True))
    left_out = tuple(label for label, defined in zip(labels, both, strict=True) if not defined)
    overall = differences[count + 1] if len(differences) > count + 1 else None
    result = Comparison(*names, len(truth), differences[count], by_label, left_out, resamples, _SEED, LEVEL, notes)
    people = None if subjects is None else len(set(subjects))
    return replace(result, overall=overall, averaged_as=scorer.averaged_as, subjects=people)


def _differences(rows: Sequence[tuple[float, float, Floats]]) -> list[Difference]:
    """Give each pair of scores and its resampled difference an interval and p-values, corrected for their number."""
    defined = [bool(np.isfinite([first, second]).all()) for first, second, _ in rows]
    found = [_p_value(gaps) if there else None for there, (_, _, gaps) in zip(defined, rows, strict=True)]
    corrected = iter(holm([p for p in found if p is not None]))
    differences = []
    for there, p, (first, second, gaps) in zip(defined, found, rows, strict=True):
        one, other = (float(score) if np.isfinite(score) else None for score in (first, second))
        gap, interval = (float(first - second), percentile_interval(gaps, LEVEL)) if there else (None, None)
        differences.append(Difference(one, other, gap, interval, p, None if p is None else next(corrected)))
    return differences


def _p_value(gaps: Floats) -> float | None:
    """Return the two-sided p-value of no difference; None where it is defined in at most half of the resamples."""
    defined = gaps[np.isfinite(gaps)]
    if 2 * len(defined) <= len(gaps):
        return None
    beyond = min(np.count_nonzero(defined <= _ROUNDING), np.count_nonzero(defined >= -_ROUNDING))
    return float(min(1.0, 2 * (1 + beyond) / (1 + len(defined))))


def holm(values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979): the chance of any false finding stays below the level.

    Examples:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order]))
    return [float(value) for value in corrected]
