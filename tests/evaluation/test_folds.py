"""Folds: no clip and no subject in two parts, every clip scored once per split, bad fold files refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eri.data import load_clips
from eri.data.clips import Clip
from eri.evaluation.folds import Fold, FoldPlan, make_folds, write_folds
from eri.utils.errors import ConfigError, DataError, MissingClassError
from tests.factories.expressions import PATHS, WRITERS, Miniature


def make_clips(count: int, groups: int | None = None) -> list[Clip]:
    return [
        Clip(
            f"{number:03d}",
            "train",
            labels=tuple(float(number % 3 == label) for label in range(3)),
            group=None if groups is None else f"s{number % groups}",
        )
        for number in range(count)
    ]


def check_parts(folds: tuple[Fold, ...], clips: Sequence[Clip], repeats: int, *, grouped: bool, least: int = 2) -> None:
    everything = Counter(clip.id for clip in clips)
    for repeat in range(1, repeats + 1):
        own = [fold for fold in folds if fold.repeat == repeat]
        assert Counter(clip_id for fold in own for clip_id in fold.score) == everything
    group_of = {clip.id: clip.group if grouped else clip.id for clip in clips}
    for fold in folds:
        assert Counter(fold.fit + fold.choose + fold.score) == everything
        parts = [{group_of[clip_id] for clip_id in ids} for ids in (fold.fit, fold.choose, fold.score)]
        assert sum(map(len, parts)) == len(set.union(*parts))
        assert min(len(fold.fit), len(fold.choose), len(fold.score)) >= least


class TestSplitting:
    @settings(max_examples=40, deadline=None)
    @given(
        count=st.integers(30, 60), groups=st.none() | st.integers(7, 12), k=st.integers(2, 6), seed=st.integers(0, 99)
    )
    def test_parts_share_nothing(self, count, groups, k, seed):
        clips = make_clips(count, groups)
        folds = make_folds(clips, FoldPlan(folds=k, repeats=2, seed=seed))
        assert len(folds) == 2 * k
        check_parts(folds, clips, 2, grouped=groups is not None)

    def test_each_fold_has_its_share_of_each_dominant_emotion(self):
        clips = make_clips(60)
        dominant = {clip.id: int(clip.id) % 3 for clip in clips}
        for fold in make_folds(clips, FoldPlan(folds=5)):
            assert set(Counter(dominant[clip_id] for clip_id in fold.score).values()) == {4}
            assert max(Counter(dominant[clip_id] for clip_id in fold.choose).values()) <= 4

    def test_leave_one_group_out(self):
        clips = make_clips(30, groups=5)
        folds = make_folds(clips, FoldPlan(leave_one_group_out=True))
        assert [fold.name for fold in folds] == ["s0", "s1", "s2", "s3", "s4"]
        check_parts(folds, clips, 1, grouped=True)

    def test_seed_decides(self):
        clips = make_clips(40)
        assert make_folds(clips, FoldPlan(seed=1)) == make_folds(clips, FoldPlan(seed=1))
        assert make_folds(clips, FoldPlan(seed=1)) != make_folds(clips, FoldPlan(seed=2))

    def test_repeats_differ(self):
        first, second = make_folds(make_clips(40), FoldPlan(folds=2, repeats=2))[::2]
        assert first.score != second.score

    def test_groups_can_be_passed_over(self):
        clips = make_clips(40, groups=4)
        check_parts(make_folds(clips, FoldPlan(folds=10, grouped=False)), clips, 1, grouped=False)


class TestRefusals:
    @pytest.mark.parametrize(
        ("clips", "plan", "message"),
        [
            (make_clips(8), FoldPlan(folds=5), r"2 fold.*of one clip, .*: '4', '5'"),
            (make_clips(4), FoldPlan(folds=5), "4 clip"),
            (make_clips(20, groups=3), FoldPlan(folds=5), r"3 subject\(s\) cannot be split into 5"),
            (make_clips(20, groups=2), FoldPlan(folds=2), "only one subject is left"),
            (make_clips(20), FoldPlan(leave_one_group_out=True), "names no subject"),
            (make_clips(11, groups=10), FoldPlan(leave_one_group_out=True), "9 fold.* of one clip, .*: 's1'"),
        ],
    )
    def test_too_few(self, clips, plan, message):
        with pytest.raises(DataError, match=message):
            make_folds(clips, plan)

    def test_contradiction(self):
        with pytest.raises(ConfigError, match="leave-one-group-out contradicts"):
            FoldPlan(leave_one_group_out=True, repeats=2)
        with pytest.raises(ConfigError, match="folds is 1"):
            FoldPlan(folds=1)


class TestFile:
    def write(self, path: Path, rows: list[tuple[str, str]]) -> FoldPlan:
        pd.DataFrame(rows, columns=["clip_id", "fold"]).to_csv(path, index=False)
        return FoldPlan(file=path)

    @pytest.mark.parametrize("groups", [None, 8])
    def test_written_folds_are_read_back(self, tmp_path, groups):
        clips = make_clips(40, groups)
        folds = make_folds(clips, FoldPlan(folds=3, repeats=2))
        write_folds(tmp_path / "folds.csv", folds)
        again = make_folds(clips, FoldPlan(file=tmp_path / "folds.csv"))
        assert [(f.repeat, f.name, f.score) for f in again] == [(f.repeat, f.name, f.score) for f in folds]

    def test_a_clip_in_two_folds(self, tmp_path):
        rows = [(f"{n:03d}", "ab"[n % 2]) for n in range(20)] + [("004", "b")]
        with pytest.raises(DataError, match=r"folds.csv: clip '004' is in folds 'a' and 'b'"):
            make_folds(make_clips(20), self.write(tmp_path / "folds.csv", rows))

    def test_overlapping_subjects(self, tmp_path):
        rows = [(f"{n:03d}", "a" if n < 9 else "b") for n in range(20)]
        with pytest.raises(DataError, match=r"folds 'a' and 'b' overlap.*subject 's1'"):
            make_folds(make_clips(20, groups=4), self.write(tmp_path / "folds.csv", rows))

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([(f"{n:03d}", "ab"[n % 2]) for n in range(19)], "1 clip.* in no fold: 019"),
            ([(f"{n:03d}", "ab"[n % 2]) for n in range(21)], "not in the labelled clips.*: 020"),
            ([(f"{n:03d}", "ab"[n % 2] if n else "") for n in range(20)], "without a fold: 000"),
            ([(f"{n:03d}", "ab"[n > 0]) for n in range(20)], "fold.* of one clip, .*: 'a'"),
            ([(f"{n:03d}", "a") for n in range(20)], "only one fold, 'a'"),
            ([], "has no row"),
        ],
    )
    def test_misfits(self, tmp_path, rows, message):
        with pytest.raises(DataError, match=message):
            make_folds(make_clips(20), self.write(tmp_path / "folds.csv", rows))

    def test_no_such_column(self, tmp_path):
        (tmp_path / "folds.csv").write_text("id,fold\n1,2\n")
        with pytest.raises(DataError, match="no column 'clip_id'"):
            make_folds(make_clips(20), FoldPlan(file=tmp_path / "folds.csv"))


CLASSES = ("anger", "fear", "joy")


def make_classified(takes: Sequence[tuple[int, int]]) -> list[Clip]:
    """Make a clip for each pair of a subject and the place of a class."""
    return [
        Clip(
            f"{number:03d}",
            "train",
            labels=tuple(float(place == other) for other in range(len(CLASSES))),
            group=f"s{subject:02d}",
        )
        for number, (subject, place) in enumerate(takes)
    ]


def place_of(clip: Clip) -> int:
    assert clip.labels is not None
    return clip.labels.index(1.0)


def check_classes(folds: tuple[Fold, ...], clips: Sequence[Clip]) -> None:
    """Every class that there is can be learnt in every fold."""
    places = {clip.id: place_of(clip) for clip in clips}
    for fold in folds:
        assert {places[clip_id] for clip_id in fold.fit} == set(places.values())


PLANS = {
    "k-fold": FoldPlan(folds=3, inner=3),
    "repeated": FoldPlan(folds=4, repeats=2),
    "leave-one-group-out": FoldPlan(leave_one_group_out=True),
    "official": FoldPlan(official=True),
    "file": FoldPlan(),
}


class TestClasses:
    @pytest.mark.parametrize("protocol", PLANS)
    @settings(max_examples=30, deadline=None)
    @given(data=st.data())
    def test_no_subject_is_on_both_sides_of_any_protocol(self, protocol, data, tmp_path_factory):
        subjects = data.draw(st.integers(6, 12))
        # Each subject shows some classes some times, each class at least three.
        extra = data.draw(st.lists(st.tuples(st.integers(0, subjects - 1), st.integers(0, 2)), max_size=30))
        takes = [(subject, place) for subject in range(subjects) for place in range(3) if (subject + place) % 2]
        clips = make_classified([*takes, *extra])
        official = {clip.id: f"{int(str(clip.group)[1:]) % 5}" for clip in clips}
        plan = PLANS[protocol]
        if protocol == "file":
            path = tmp_path_factory.mktemp("folds") / "folds.csv"
            pd.DataFrame(official.items(), columns=["clip_id", "fold"]).to_csv(path, index=False)
            plan = FoldPlan(file=path)
        folds = make_folds(clips, plan, classes=CLASSES, official=official)
        check_parts(folds, clips, plan.repeats, grouped=True, least=1)
        check_classes(folds, clips)

    @pytest.mark.parametrize("name", WRITERS)
    def test_no_subject_is_on_both_sides_of_any_data_set(self, tmp_path, name):
        table = load_clips(WRITERS[name](tmp_path, Miniature(subjects=6, media=False)))
        clips = [clip for clip in table if clip.labels is not None]
        grouped = any(clip.group for clip in clips)
        assert grouped == (name not in ("dfew", "afew"))
        plans = [FoldPlan(folds=3)]
        plans += [FoldPlan(leave_one_group_out=True)] if grouped else []
        plans += [FoldPlan(official=True)] if table.folds else []
        for plan in plans:
            folds = make_folds(clips, plan, classes=table.task.classes, official=table.folds)
            check_parts(folds, clips, 1, grouped=grouped, least=1)

    def test_the_official_folds_are_those_of_the_lists(self, tmp_path):
        table = load_clips(WRITERS["dfew"](tmp_path, PATHS))
        folds = make_folds(table.clips, FoldPlan(official=True), classes=table.task.classes, official=table.folds)
        assert [fold.name for fold in folds] == ["1", "2", "3", "4", "5"]
        for fold in folds:
            text = (tmp_path / f"EmoLabel_DataSplit/train(single-labeled)/set_{fold.name}.csv").read_text()
            trained = {f"{int(line.split(',')[0]):05d}" for line in text.splitlines()[1:]}
            assert set(fold.fit + fold.choose) == trained

    def test_subjects_are_dealt_so_that_folds_are_alike_in_each_class(self):
        # Half of the subjects show anger and fear, the others joy alone: by size alone, folds could be of one kind.
        takes = [(subject, place) for subject in range(20) for place in ((0, 1) if subject % 2 else (2, 2))]
        clips = make_classified(takes)
        places = {clip.id: place_of(clip) for clip in clips}
        for seed in range(10):
            for fold in make_folds(clips, FoldPlan(folds=5, seed=seed), classes=CLASSES):
                assert Counter(places[clip_id] for clip_id in fold.score) == {0: 2, 1: 2, 2: 4}

    def test_uneven_subjects_give_folds_of_about_the_same_size(self):
        takes = [(subject, (subject + take) % 3) for subject in range(30) for take in range(1 + subject % 6)]
        clips = make_classified(takes)
        sizes = [len(fold.score) for fold in make_folds(clips, FoldPlan(folds=10), classes=CLASSES)]
        assert max(sizes) - min(sizes) <= 2

    def test_a_subject_of_one_clip_is_a_fold_of_classes(self):
        clips = make_classified([(subject, place) for subject in range(4) for place in range(3)] + [(9, 0)])
        folds = make_folds(clips, FoldPlan(leave_one_group_out=True), classes=CLASSES)
        assert [len(fold.score) for fold in folds] == [3, 3, 3, 3, 1]
        with pytest.raises(DataError, match="of one clip, without a correlation: 's09'"):
            make_folds(clips, FoldPlan(leave_one_group_out=True))

    def test_a_class_that_no_model_could_learn_is_refused(self):
        clips = make_classified([(subject, place) for subject in range(6) for place in range(2)] + [(5, 2)])
        with pytest.raises(MissingClassError, match="fold 's05': no clip of class 'joy' is left to fit") as caught:
            make_folds(clips, FoldPlan(leave_one_group_out=True), classes=CLASSES)
        assert caught.value.hint is not None

    def test_a_rare_class_is_not_spent_on_choosing_the_epoch(self):
        clips = make_classified([(subject, place) for subject in range(9) for place in range(2)] + [(0, 2), (8, 2)])
        check_classes(make_folds(clips, FoldPlan(folds=3), classes=CLASSES), clips)

    def test_official_folds_that_are_not_there(self):
        clips = make_classified([(subject, place) for subject in range(6) for place in range(3)])
        with pytest.raises(DataError, match="states no official folds"):
            make_folds(clips, FoldPlan(official=True), classes=CLASSES)
        with pytest.raises(DataError, match=r"17 clip\(s\) in no official fold: 001, 002"):
            make_folds(clips, FoldPlan(official=True), classes=CLASSES, official={"000": "1"})
        with pytest.raises(ConfigError, match="official folds contradict"):
            FoldPlan(official=True, repeats=2)
