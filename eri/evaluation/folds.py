"""Folds of a cross-validation: which clips a model is fitted on, which choose its epoch, and which score it.

Every fold has three parts that share no clip, and no subject where subjects are known: a score is never taken on clips
that the model was fitted on or its epoch was chosen on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from eri.data.clips import Clip
from eri.utils.errors import ConfigError, DataError, MissingClassError
from eri.utils.files import write_text

_COLUMNS = ("repeat", "clip_id", "fold")
_NAMED = 5
_NO_FOLDS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class FoldPlan:
    """How clips are dealt into folds.

    Attributes:
        folds: Folds of equal size (within a clip, or a subject).
        repeats: How often all clips are dealt anew.
        leave_one_group_out: One fold for each subject, in place of ``folds``.
        file: A CSV with the columns ``clip_id`` and ``fold`` (and ``repeat``, if there are several), in place of all
            of the above.
        grouped: Keep the clips of a subject together; None does so where the data set names subjects.
        inner: One part in so many of a fold's training clips chooses the epoch.
        seed: Of the dealing.
        official: The folds that the data set itself states, in place of ``folds``.
    """

    folds: int = 5
    repeats: int = 1
    leave_one_group_out: bool = False
    file: Path | None = None
    grouped: bool | None = None
    inner: int = 5
    seed: int = 0
    official: bool = False

    def __post_init__(self) -> None:
        for name, least in (("folds", 2), ("repeats", 1), ("inner", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.leave_one_group_out and (self.file is not None or self.repeats > 1 or self.grouped is False):
            raise ConfigError(
                "leave-one-group-out contradicts a fold file, repeats, and ungrouped folds", hint="Leave those out."
            )
        if self.official and (self.leave_one_group_out or self.file is not None or self.repeats > 1):
            raise ConfigError(
                "official folds contradict leave-one-group-out, a fold file, and repeats", hint="Leave those out."
            )


FIVE_FOLDS = FoldPlan()
"""How clips are dealt unless asked otherwise."""


@dataclass(frozen=True)
class Fold:
    """One fold; ids are ascending.

    Attributes:
        repeat: Which dealing it is of, counted from 1.
        number: Its place in that dealing, counted from 1.
        name: The number, or the subject or the name that a fold file gives.
        fit: Clips that models are fitted on.
        choose: Clips that choose the epoch.
        score: Clips that are held out of both.
    """

    repeat: int
    number: int
    name: str
    fit: tuple[str, ...]
    choose: tuple[str, ...]
    score: tuple[str, ...]


def make_folds(
    clips: Sequence[Clip],
    plan: FoldPlan = FIVE_FOLDS,
    *,
    classes: Sequence[str] = (),
    official: Mapping[str, str] = _NO_FOLDS,
) -> tuple[Fold, ...]:
    """Deal clips into folds.

    Where subjects are kept together, they are dealt by descending number of clips: into the smallest fold so far, or,
    where labels are classes, into the fold that has least of what the subject brings of each class. Otherwise the clips
    of each dominant emotion, or class, are dealt round, so that every fold has its share of each.

    Args:
        clips: Labelled clips.
        plan: How.
        classes: The names of the classes that the labels are one-hot over; empty where the labels are numbers. Of a
            fold of numbers each part needs two clips, of classes one.
        official: The data set's own folds, :attr:`eri.data.clips.ClipTable.folds`.

    Raises:
        MissingClassError: A class that the clips have is missing in the part of a fold that models are fitted on.
        DataError: Fewer subjects or clips than folds, a fold of one clip, a fold file that does not fit, or official
            folds of a data set that has none.

    Examples:
        >>> clips = [Clip(f"{i}", "train", labels=(i % 2, 0.5)) for i in range(8)]
        >>> [fold.score for fold in make_folds(clips, FoldPlan(folds=2, inner=2))]
        [('0', '1', '2', '3'), ('4', '5', '6', '7')]
    """
    rules = _Rules(_grouped(clips, plan), tuple(classes))
    folds = []
    for repeat, parts in enumerate(_dealings(clips, plan, rules, official), start=1):
        _refuse_small(parts, rules)
        if rules.grouped:
            _refuse_torn_groups(clips, parts)
        for number, (name, held) in enumerate(parts.items(), start=1):
            folds.append(_fold(clips, held, plan, rules, (repeat, number, name)))
    return tuple(folds)


@dataclass(frozen=True)
class _Rules:
    """What all parts of a dealing obey.

    Attributes:
        grouped: The clips of a subject stay together.
        classes: See :func:`make_folds`.
    """

    grouped: bool
    classes: tuple[str, ...]

    @property
    def least(self) -> int:
        """Clips that a part needs to be scored: two have a correlation, one can be right or wrong."""
        return 1 if self.classes else 2


def _dealings(
    clips: Sequence[Clip], plan: FoldPlan, rules: _Rules, official: Mapping[str, str]
) -> list[dict[str, list[str]]]:
    """Return, for each dealing, the held-out clips of each fold."""
    if plan.official:
        return [_official(clips, official)]
    if plan.file is not None:
        return _read(plan.file, clips)
    if plan.leave_one_group_out:
        return [_by_group(clips)]
    return [
        {str(number): ids for number, ids in enumerate(_deal(clips, plan.folds, rules, [plan.seed, r]), 1)}
        for r in range(1, plan.repeats + 1)
    ]


def _official(clips: Sequence[Clip], official: Mapping[str, str]) -> dict[str, list[str]]:
    if not official:
        raise DataError(
            "the data set states no official folds",
            hint="Train on its splits with `eri train`, or deal folds: --folds, --leave-one-group-out.",
        )
    parts: dict[str, list[str]] = {name: [] for name in sorted(set(official.values()), key=lambda n: (len(n), n))}
    lost = [clip.id for clip in clips if clip.id not in official]
    if lost:
        raise DataError(
            f"{len(lost)} clip(s) in no official fold: {', '.join(lost[:_NAMED])}",
            hint="Read the data set again from its folder, or leave out the splits that its folds do not part.",
        )
    for clip in clips:
        parts[official[clip.id]].append(clip.id)
    return {name: ids for name, ids in parts.items() if ids}


def write_folds(path: Path, folds: Iterable[Fold]) -> None:
    """Write ``folds.csv``: for every clip of every dealing the fold that scores it; a :class:`FoldPlan` may name it."""
    rows = [(fold.repeat, clip_id, fold.name) for fold in folds for clip_id in fold.score]
    write_text(path, pd.DataFrame(sorted(rows), columns=list(_COLUMNS)).to_csv(index=False, lineterminator="\n"))


def _fold(
    clips: Sequence[Clip], held: Sequence[str], plan: FoldPlan, rules: _Rules, place: tuple[int, int, str]
) -> Fold:
    repeat, number, name = place
    apart = set(held)
    rest = [clip for clip in clips if clip.id not in apart]
    parts = min(plan.inner, len({_group(clip) for clip in rest})) if rules.grouped else plan.inner
    if parts < 2:
        raise DataError(
            f"fold '{name}': only one subject is left to train on, none to choose the epoch with",
            hint="Use data of three subjects or more, or let folds share subjects: --ungrouped.",
        )
    choose = _choose(rest, _deal(rest, parts, rules, [plan.seed, repeat, number]), rules)
    chosen = set(choose)
    fit = [clip for clip in rest if clip.id not in chosen]
    if min(len(choose), len(fit)) < rules.least:
        raise DataError(
            f"fold '{name}': {len(choose)} clip(s) would choose the epoch of a model fitted on {len(fit)}; "
            + ("each needs one" if rules.classes else "a correlation needs two"),
            hint="Use fewer inner parts, or more clips.",
        )
    unmet = sorted(_places(clips) - _places(fit))
    if rules.classes and unmet:
        lacking = ", ".join(f"'{rules.classes[place]}'" for place in unmet)
        raise MissingClassError(
            f"fold '{name}': no clip of class {lacking} is left to fit a model on",
            hint="Use more folds or inner parts, so that more clips are fitted on; or leave the class out of the data.",
        )
    return Fold(
        repeat, number, name, tuple(sorted(clip.id for clip in fit)), tuple(sorted(choose)), tuple(sorted(held))
    )


def _choose(clips: Sequence[Clip], parts: Sequence[list[str]], rules: _Rules) -> list[str]:
    """Return the smallest part; of classes, the smallest one that leaves some of each class to fit on, if one does."""
    smallest_first = sorted(parts, key=len)
    if rules.classes:
        for part in smallest_first:
            apart = set(part)
            if _places([clip for clip in clips if clip.id not in apart]) == _places(clips):
                return part
    return smallest_first[0]


def _places(clips: Sequence[Clip]) -> set[int]:
    """Return the places of the classes that clips are of."""
    return {int(np.argmax(clip.labels or (0.0,))) for clip in clips}


def _deal(clips: Sequence[Clip], count: int, rules: _Rules, seed: Sequence[int]) -> list[list[str]]:
    """Deal clips into ``count`` parts of about the same size."""
    generator = np.random.default_rng(list(seed))
    sets = _by_group(clips) if rules.grouped else _by_dominant_emotion(clips)
    if rules.grouped and len(sets) < count:
        raise DataError(
            f"{len(sets)} subject(s) cannot be dealt into {count} parts", hint=f"Use at most {len(sets)} folds."
        )
    if len(clips) < count:
        raise DataError(f"{len(clips)} clip(s) cannot be dealt into {count} parts", hint="Use fewer folds.")
    parts: list[list[str]] = [[] for _ in range(count)]
    shuffled = [list(sets.values())[index] for index in generator.permutation(len(sets))]
    if rules.grouped:
        largest_first = sorted(shuffled, key=len, reverse=True)
        if rules.classes:
            return _deal_by_class(clips, largest_first, count)
        for ids in largest_first:
            min(parts, key=len).extend(ids)
        return parts
    dealt = 0
    for ids in shuffled:
        for index in generator.permutation(len(ids)):
            parts[dealt % count].append(ids[index])
            dealt += 1
    return parts


def _deal_by_class(clips: Sequence[Clip], sets: Sequence[Sequence[str]], count: int) -> list[list[str]]:
    """Deal sets of clips so that the parts are alike in their number of clips and of clips of each class.

    A set goes to the part where it adds least to the sum of the squared shares that each part has of each class and of
    all clips. That sum is least where all parts are alike.
    """
    labels = {clip.id: np.asarray(clip.labels, dtype=np.float64) for clip in clips}
    totals = np.maximum(sum(labels.values()), 1.0)
    parts: list[list[str]] = [[] for _ in range(count)]
    held = np.zeros((count, len(totals)))
    for ids in sets:
        brought = sum((labels[clip_id] for clip_id in ids), np.zeros(len(totals)))
        added = held @ (brought / totals**2) + held.sum(axis=1) * brought.sum() / len(clips) ** 2
        # Of parts that are alike, the one of fewer clips, then the first.
        chosen = min(range(count), key=lambda part: (round(float(added[part]), 12), len(parts[part])))
        parts[chosen].extend(ids)
        held[chosen] += brought
    return parts


def _by_group(clips: Sequence[Clip]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        groups[_group(clip)].append(clip.id)
    return dict(sorted(groups.items()))


def _by_dominant_emotion(clips: Sequence[Clip]) -> dict[str, list[str]]:
    classes: dict[str, list[str]] = defaultdict(list)
    for clip in clips:
        classes[f"{np.argmax(clip.labels or (0.0,)):03d}"].append(clip.id)
    return dict(sorted(classes.items()))


def _group(clip: Clip) -> str:
    """Return the subject; a clip without one is a subject of its own."""
    return clip.group if clip.group is not None else f"clip {clip.id}"


def _grouped(clips: Sequence[Clip], plan: FoldPlan) -> bool:
    known = any(clip.group is not None for clip in clips)
    if not known and (plan.grouped or plan.leave_one_group_out):
        raise DataError(
            "the data set names no subject, so no fold can be held apart by subject",
            hint="Name the column with columns.group in the manifest, or leave the grouping out.",
        )
    return known if plan.grouped is None else plan.grouped


def _refuse_small(parts: dict[str, list[str]], rules: _Rules) -> None:
    if len(parts) < 2:
        raise DataError(f"there is only one fold, '{next(iter(parts), '')}'", hint="Use two folds or more.")
    small = [name for name, ids in parts.items() if len(ids) < rules.least]
    if small:
        raise DataError(
            f"{len(small)} fold(s) of one clip, without a correlation: {', '.join(map(repr, small[:_NAMED]))}",
            hint="Use fewer folds, or join these folds with others in a fold file.",
        )


def _refuse_torn_groups(clips: Sequence[Clip], parts: dict[str, list[str]]) -> None:
    fold_of = {clip_id: name for name, ids in parts.items() for clip_id in ids}
    seen: dict[str, str] = {}
    for clip in clips:
        name = seen.setdefault(_group(clip), fold_of[clip.id])
        if name != fold_of[clip.id]:
            raise DataError(
                f"folds '{name}' and '{fold_of[clip.id]}' overlap: both hold clips of subject '{_group(clip)}'",
                hint="Put each subject into one fold, or let folds share subjects on purpose: --ungrouped.",
            )


def _read(path: Path, clips: Sequence[Clip]) -> list[dict[str, list[str]]]:
    """Read a fold file: for each dealing the ids of each fold."""
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' and codecs' errors are among these
        raise DataError(f"{path}: cannot be read as CSV: {error}") from error
    missing = [name for name in _COLUMNS[1:] if name not in frame.columns]
    if missing:
        raise DataError(f"{path}: no column '{missing[0]}'", hint="A fold file has the columns clip_id and fold.")
    if "repeat" not in frame.columns:
        frame["repeat"] = "1"
    known = {clip.id for clip in clips}
    dealings = []
    for _, rows in sorted(frame.groupby("repeat"), key=lambda pair: (len(str(pair[0])), str(pair[0]))):
        pairs = list(zip(rows["clip_id"], rows["fold"], strict=True))
        _check(path, pairs, known)
        parts: dict[str, list[str]] = defaultdict(list)
        for clip_id, name in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
            parts[name].append(clip_id)
        dealings.append(dict(parts))
    if not dealings:
        raise DataError(f"{path}: has no row")
    return dealings


def _check(path: Path, pairs: Sequence[tuple[str, str]], known: set[str]) -> None:
    """Refuse a dealing that does not put every clip into one fold."""
    twice = [clip_id for clip_id, count in Counter(clip_id for clip_id, _ in pairs).items() if count > 1]
    if twice:
        names = [name for clip_id, name in pairs if clip_id == twice[0]]
        raise DataError(
            f"{path}: clip '{twice[0]}' stands in folds {' and '.join(map(repr, names))}"
            + (f", and {len(twice) - 1} more clip(s) in several" if len(twice) > 1 else ""),
            hint="Every clip belongs to one fold; use the column repeat to deal the clips several times.",
        )
    given = {clip_id for clip_id, _ in pairs}
    unnamed = [clip_id for clip_id, name in pairs if not name]
    for what, ids in (
        ("without a fold", unnamed),
        ("not in the labelled clips of these splits", sorted(given - known)),
        ("of the data set in no fold", sorted(known - given)),
    ):
        if ids:
            raise DataError(
                f"{path}: {len(ids)} clip(s) {what}: {', '.join(ids[:_NAMED])}",
                hint="A fold file names every labelled clip once.",
            )
