"""Folds of a cross-validation: which clips a model is fitted on, which choose its epoch, and which score it.

Every fold has three parts that share no clip, and no subject where subjects are known: a score is never taken on clips
that the model was fitted on or its epoch was chosen on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from eri.data.clips import Clip
from eri.errors import ConfigError, DataError
from eri.files import write_text

_COLUMNS = ("repeat", "clip_id", "fold")
_NAMED = 5


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
    """

    folds: int = 5
    repeats: int = 1
    leave_one_group_out: bool = False
    file: Path | None = None
    grouped: bool | None = None
    inner: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("folds", 2), ("repeats", 1), ("inner", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.leave_one_group_out and (self.file is not None or self.repeats > 1 or self.grouped is False):
            raise ConfigError(
                "leave-one-group-out contradicts a fold file, repeats, and ungrouped folds", hint="Leave those out."
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


def make_folds(clips: Sequence[Clip], plan: FoldPlan = FIVE_FOLDS) -> tuple[Fold, ...]:
    """Deal clips into folds.

    Where subjects are kept together, they are dealt by descending number of clips into the smallest fold so far; else
    the clips of each dominant emotion are dealt round, so that every fold has its share of each.

    Args:
        clips: Labelled clips.
        plan: How.

    Raises:
        DataError: Fewer subjects or clips than folds, a fold of one clip, or a fold file that does not fit.

    Examples:
        >>> clips = [Clip(f"{i}", "train", labels=(i % 2, 0.5)) for i in range(8)]
        >>> [fold.score for fold in make_folds(clips, FoldPlan(folds=2, inner=2))]
        [('0', '1', '2', '3'), ('4', '5', '6', '7')]
    """
    grouped = _grouped(clips, plan)
    if plan.file is not None:
        dealings = _read(plan.file, clips)
    elif plan.leave_one_group_out:
        dealings = [_by_group(clips)]
    else:
        dealings = [
            {str(number): ids for number, ids in enumerate(_deal(clips, plan.folds, grouped, [plan.seed, r]), 1)}
            for r in range(1, plan.repeats + 1)
        ]
    folds = []
    for repeat, parts in enumerate(dealings, start=1):
        _refuse_small(parts)
        if grouped:
            _refuse_torn_groups(clips, parts)
        for number, (name, held) in enumerate(parts.items(), start=1):
            folds.append(_fold(clips, held, plan, grouped, (repeat, number, name)))
    return tuple(folds)


def write_folds(path: Path, folds: Iterable[Fold]) -> None:
    """Write ``folds.csv``: for every clip of every dealing the fold that scores it; a :class:`FoldPlan` may name it."""
    rows = [(fold.repeat, clip_id, fold.name) for fold in folds for clip_id in fold.score]
    write_text(path, pd.DataFrame(sorted(rows), columns=list(_COLUMNS)).to_csv(index=False, lineterminator="\n"))


def _fold(
    clips: Sequence[Clip], held: Sequence[str], plan: FoldPlan, grouped: bool, place: tuple[int, int, str]
) -> Fold:
    repeat, number, name = place
    apart = set(held)
    rest = [clip for clip in clips if clip.id not in apart]
    parts = min(plan.inner, len({_group(clip) for clip in rest})) if grouped else plan.inner
    if parts < 2:
        raise DataError(
            f"fold '{name}': only one subject is left to train on, none to choose the epoch with",
            hint="Use data of three subjects or more, or let folds share subjects: --ungrouped.",
        )
    choose = min(_deal(rest, parts, grouped, [plan.seed, repeat, number]), key=len)
    chosen = set(choose)
    if len(choose) < 2 or len(rest) - len(choose) < 2:
        raise DataError(
            f"fold '{name}': {len(choose)} clip(s) would choose the epoch of a model fitted on "
            f"{len(rest) - len(choose)}; a correlation needs two",
            hint="Use fewer inner parts, or more clips.",
        )
    fit = tuple(clip.id for clip in rest if clip.id not in chosen)
    return Fold(repeat, number, name, tuple(sorted(fit)), tuple(sorted(choose)), tuple(sorted(held)))


def _deal(clips: Sequence[Clip], count: int, grouped: bool, seed: Sequence[int]) -> list[list[str]]:
    """Deal clips into ``count`` parts of about the same size."""
    generator = np.random.default_rng(list(seed))
    sets = _by_group(clips) if grouped else _by_dominant_emotion(clips)
    if grouped and len(sets) < count:
        raise DataError(
            f"{len(sets)} subject(s) cannot be dealt into {count} parts", hint=f"Use at most {len(sets)} folds."
        )
    if len(clips) < count:
        raise DataError(f"{len(clips)} clip(s) cannot be dealt into {count} parts", hint="Use fewer folds.")
    parts: list[list[str]] = [[] for _ in range(count)]
    shuffled = [list(sets.values())[index] for index in generator.permutation(len(sets))]
    if grouped:
        for ids in sorted(shuffled, key=len, reverse=True):
            min(parts, key=len).extend(ids)
        return parts
    dealt = 0
    for ids in shuffled:
        for index in generator.permutation(len(ids)):
            parts[dealt % count].append(ids[index])
            dealt += 1
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


def _refuse_small(parts: dict[str, list[str]]) -> None:
    if len(parts) < 2:
        raise DataError(f"there is only one fold, '{next(iter(parts), '')}'", hint="Use two folds or more.")
    small = [name for name, ids in parts.items() if len(ids) < 2]
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
