"""Folds of a cross-validation: which clips a model is fitted on, which choose its epoch, and which score it.

The parts share no clip, and no subject where subjects are known. The splitting is our own: of scikit-learn's
``GroupKFold`` balances sizes only without a seed (with one its folds of 200 uneven subjects differed by 56 clips, these
by 1), and breaks ties by the sorting of the machine; ``StratifiedGroupKFold`` differed by 6 clips. And the folds of a
seed stay what they were in every run before.
"""

from __future__ import annotations

from collections import defaultdict
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
_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class FoldPlan:
    """How clips are split; a file, one fold per subject or the official folds take the place of ``folds``."""

    folds: int = 5  # of equal size, within a clip or a subject
    repeats: int = 1  # different splits of all clips
    leave_one_group_out: bool = False
    file: Path | None = None  # a CSV with the columns clip_id and fold, and repeat if there are several
    grouped: bool | None = None  # keep the clips of a subject together; None: where the data set names subjects
    inner: int = 5  # one part in so many of a fold's training clips chooses the epoch
    seed: int = 0
    official: bool = False  # those that the data set itself states

    def __post_init__(self) -> None:
        for name, least in (("folds", 2), ("repeats", 1), ("inner", 2)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        given = self.file is not None or self.repeats > 1
        if self.leave_one_group_out and (given or self.grouped is False):
            raise ConfigError(
                "leave-one-group-out contradicts a fold file, repeats, and ungrouped folds", hint="Leave those out."
            )
        if self.official and (given or self.leave_one_group_out):
            raise ConfigError(
                "official folds contradict leave-one-group-out, a fold file, and repeats", hint="Leave those out."
            )


FIVE_FOLDS = FoldPlan()
"""The default: five folds by subject, or by clip where no subject is known."""


@dataclass(frozen=True)
class Fold:
    """One fold: the clips to fit, those that choose the epoch, and those held out of both; ids are ascending."""

    repeat: int  # the split that it belongs to, counted from 1
    number: int  # its place in that split, counted from 1
    name: str  # the number, or the subject or the name that a fold file gives
    fit: tuple[str, ...]
    choose: tuple[str, ...]
    score: tuple[str, ...]


def make_folds(
    clips: Sequence[Clip], plan: FoldPlan = FIVE_FOLDS, classes: Sequence[str] = (), official: Mapping[str, str] = _NONE
) -> tuple[Fold, ...]:
    """Split labelled clips into folds; ``official`` are the data set's own, :attr:`eri.data.clips.ClipTable.folds`.

    Subjects that are kept together are assigned by descending number of clips: to the smallest fold so far, or, where
    labels are one-hot over ``classes``, to the fold that has least of what they bring of each class. Otherwise the
    clips of each dominant emotion, or class, are assigned in turn. Each part of a fold needs two clips of intensities,
    or one of classes; a class that is missing in the part that models are fitted on is a :class:`MissingClassError`.

    Examples:
        >>> clips = [Clip(f"{i}", "train", labels=(i % 2, 0.5)) for i in range(8)]
        >>> [fold.score for fold in make_folds(clips, FoldPlan(folds=2, inner=2))]
        [('0', '1', '2', '3'), ('4', '5', '6', '7')]
    """
    splitter = _Splitter(clips, plan, tuple(classes))
    return tuple(
        splitter.fold(held_out, repeat, number, name)
        for repeat, parts in enumerate(splitter.splits(official), start=1)
        for number, (name, held_out) in enumerate(parts.items(), start=1)
    )


def write_folds(path: Path, folds: Iterable[Fold]) -> None:
    """Write ``folds.csv``: for every clip and split the fold that scores it; a :class:`FoldPlan` may name the file."""
    rows = [(fold.repeat, clip_id, fold.name) for fold in folds for clip_id in fold.score]
    write_text(path, pd.DataFrame(sorted(rows), columns=list(_COLUMNS)).to_csv(index=False, lineterminator="\n"))


class _Splitter:
    """Splits some clips as a plan says."""

    def __init__(self, clips: Sequence[Clip], plan: FoldPlan, classes: tuple[str, ...]) -> None:
        known = any(clip.group is not None for clip in clips)
        if not known and (plan.grouped or plan.leave_one_group_out):
            raise DataError(
                "the data set names no subject, so no fold can be held apart by subject",
                hint="Name the column with columns.group in the manifest, or leave the grouping out.",
            )
        self.clips, self.plan, self.classes = clips, plan, classes
        self.grouped = known if plan.grouped is None else plan.grouped
        # A correlation needs two clips; one clip can be classified correctly or not.
        self.least = 1 if classes else 2

    def splits(self, official: Mapping[str, str]) -> list[dict[str, list[str]]]:
        """Return the held-out clips of each fold, for each split."""
        plan = self.plan
        if plan.official:
            splits = [_official(self.clips, official)]
        elif plan.file is not None:
            splits = _read(plan.file, {clip.id for clip in self.clips})
        elif plan.leave_one_group_out:
            splits = [_by_subject(self.clips)]
        else:
            splits = [
                {str(number): ids for number, ids in enumerate(self.assign(self.clips, plan.folds, seed), start=1)}
                for seed in ((plan.seed, repeat) for repeat in range(1, plan.repeats + 1))
            ]
        for parts in splits:
            self._refuse_small(parts)
            if self.grouped:
                _refuse_split_subjects(self.clips, parts)
        return splits

    def fold(self, held_out: Sequence[str], repeat: int, number: int, name: str) -> Fold:
        """Split the clips that a fold does not hold out into those to fit and those to choose the epoch."""
        rest = _without(self.clips, held_out)
        count = min(self.plan.inner, len(_by_subject(rest))) if self.grouped else self.plan.inner
        if count < 2:
            raise DataError(
                f"fold '{name}': only one subject is left to train on, none to choose the epoch with",
                hint="Use data of three subjects or more, or let folds share subjects: --ungrouped.",
            )
        choose = self._choose(rest, self.assign(rest, count, (self.plan.seed, repeat, number)))
        fit = _without(rest, choose)
        if min(len(choose), len(fit)) < self.least:
            raise DataError(
                f"fold '{name}': {len(choose)} clip(s) would choose the epoch of a model fitted on {len(fit)}; "
                + ("each needs one" if self.classes else "a correlation needs two"),
                hint="Use fewer inner parts, or more clips.",
            )
        missing = sorted(_classes_of(self.clips) - _classes_of(fit))
        if self.classes and missing:
            raise MissingClassError(
                f"fold '{name}': no clip of class {', '.join(repr(self.classes[place]) for place in missing)} is left "
                "to fit a model on",
                hint="Use more folds or inner parts, so that more clips are fitted on; or leave the class out of the "
                "data.",
            )
        parts = (tuple(sorted(ids)) for ids in ((clip.id for clip in fit), choose, held_out))
        return Fold(repeat, number, name, *parts)

    def assign(self, clips: Sequence[Clip], count: int, seed: Sequence[int]) -> list[list[str]]:
        """Assign clips to ``count`` parts of about the same size."""
        generator = np.random.default_rng(list(seed))
        emotions = ((f"{_dominant(clip):03d}", clip.id) for clip in clips)
        sets = list((_by_subject(clips) if self.grouped else _grouped(emotions)).values())
        if self.grouped and len(sets) < count:
            raise DataError(
                f"{len(sets)} subject(s) cannot be split into {count} parts", hint=f"Use at most {len(sets)} folds."
            )
        if len(clips) < count:
            raise DataError(f"{len(clips)} clip(s) cannot be split into {count} parts", hint="Use fewer folds.")
        shuffled = [sets[index] for index in generator.permutation(len(sets))]
        if not self.grouped:
            in_turn = [ids[index] for ids in shuffled for index in generator.permutation(len(ids))]
            return [in_turn[start::count] for start in range(count)]
        largest_first = sorted(shuffled, key=len, reverse=True)
        if self.classes:
            return _assign_by_class(clips, largest_first, count)
        parts: list[list[str]] = [[] for _ in range(count)]
        for ids in largest_first:
            min(parts, key=len).extend(ids)
        return parts

    def _choose(self, clips: Sequence[Clip], parts: Sequence[list[str]]) -> list[str]:
        """Return the smallest part; of classes, the smallest that leaves some of each class to fit on, if one does."""
        smallest_first = sorted(parts, key=len)
        for part in smallest_first if self.classes else ():
            if _classes_of(_without(clips, part)) == _classes_of(clips):
                return part
        return smallest_first[0]

    def _refuse_small(self, parts: dict[str, list[str]]) -> None:
        if len(parts) < 2:
            raise DataError(f"there is only one fold, '{next(iter(parts), '')}'", hint="Use two folds or more.")
        small = [name for name, ids in parts.items() if len(ids) < self.least]
        if small:
            raise DataError(
                f"{len(small)} fold(s) of one clip, without a correlation: {', '.join(map(repr, small[:_NAMED]))}",
                hint="Use fewer folds, or join these folds with others in a fold file.",
            )


def _assign_by_class(clips: Sequence[Clip], sets: Sequence[Sequence[str]], count: int) -> list[list[str]]:
    """Assign sets of clips so that the parts are alike in their number of clips and of clips of each class.

    A set goes to the part where it adds least to the sum of the squared shares of each class and of all clips.
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


def _without(clips: Iterable[Clip], ids: Iterable[str]) -> list[Clip]:
    apart = set(ids)
    return [clip for clip in clips if clip.id not in apart]


def _dominant(clip: Clip) -> int:
    return int(np.argmax(clip.labels or (0.0,)))


def _classes_of(clips: Iterable[Clip]) -> set[int]:
    return set(map(_dominant, clips))


def _subject(clip: Clip) -> str:
    """Return the subject; a clip without one is a subject of its own."""
    return clip.group if clip.group is not None else f"clip {clip.id}"


def _by_subject(clips: Iterable[Clip]) -> dict[str, list[str]]:
    return _grouped((_subject(clip), clip.id) for clip in clips)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Gather ids by name; names ascend, ids keep their order."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, clip_id in pairs:
        groups[name].append(clip_id)
    return dict(sorted(groups.items()))


def _refuse_split_subjects(clips: Sequence[Clip], parts: dict[str, list[str]]) -> None:
    fold_of = {clip_id: name for name, ids in parts.items() for clip_id in ids}
    seen: dict[str, str] = {}
    for clip in clips:
        name = seen.setdefault(_subject(clip), fold_of[clip.id])
        if name != fold_of[clip.id]:
            raise DataError(
                f"folds '{name}' and '{fold_of[clip.id]}' overlap: both hold clips of subject '{_subject(clip)}'",
                hint="Put each subject into one fold, or let folds share subjects on purpose: --ungrouped.",
            )


def _official(clips: Sequence[Clip], official: Mapping[str, str]) -> dict[str, list[str]]:
    if not official:
        raise DataError(
            "the data set states no official folds",
            hint="Train on its splits with `eri train`, or make folds: --folds, --leave-one-group-out.",
        )
    lost = [clip.id for clip in clips if clip.id not in official]
    if lost:
        raise DataError(
            f"{len(lost)} clip(s) in no official fold: {', '.join(lost[:_NAMED])}",
            hint="Read the data set again from its folder, or leave out the splits that its folds do not cover.",
        )
    parts = _grouped((official[clip.id], clip.id) for clip in clips)
    return dict(sorted(parts.items(), key=lambda part: (len(part[0]), part[0])))


def _read(path: Path, known: set[str]) -> list[dict[str, list[str]]]:
    """Read a fold file: for each split the ids of each fold."""
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' and codecs' errors are among these
        raise DataError(f"{path}: cannot be read as CSV: {error}") from error
    missing = [name for name in _COLUMNS[1:] if name not in frame.columns]
    if missing:
        raise DataError(f"{path}: no column '{missing[0]}'", hint="A fold file has the columns clip_id and fold.")
    if frame.empty:
        raise DataError(f"{path}: has no row")
    if "repeat" not in frame.columns:
        frame["repeat"] = "1"
    splits = []
    for _, rows in sorted(frame.groupby("repeat"), key=lambda pair: (len(str(pair[0])), str(pair[0]))):
        _check_rows(path, rows, known)
        splits.append(_grouped(rows.sort_values("clip_id")[["fold", "clip_id"]].itertuples(index=False, name=None)))
    return splits


def _check_rows(path: Path, rows: pd.DataFrame, known: set[str]) -> None:
    """Refuse a split that does not put every clip into one fold."""
    repeated = rows[rows["clip_id"].duplicated(keep=False)]
    if len(repeated):
        several = repeated["clip_id"].unique()
        names = repeated.loc[repeated["clip_id"] == several[0], "fold"]
        raise DataError(
            f"{path}: clip '{several[0]}' is in folds {' and '.join(map(repr, names))}"
            + (f", and {len(several) - 1} more clip(s) in several" if len(several) > 1 else ""),
            hint="Every clip belongs to one fold; use the column repeat to split the clips several times.",
        )
    given = set(rows["clip_id"])
    for what, ids in (
        ("without a fold", list(rows.loc[rows["fold"] == "", "clip_id"])),
        ("not in the labelled clips of these splits", sorted(given - known)),
        ("of the data set in no fold", sorted(known - given)),
    ):
        if ids:
            raise DataError(
                f"{path}: {len(ids)} clip(s) {what}: {', '.join(ids[:_NAMED])}",
                hint="A fold file names every labelled clip once.",
            )
