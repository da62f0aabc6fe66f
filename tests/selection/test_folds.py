"""Folds: no clip and no subject in two parts, every clip scored once a dealing, bad fold files refused by name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eri.data.clips import Clip
from eri.errors import ConfigError, DataError
from eri.selection import Fold, FoldPlan, make_folds
from eri.selection.folds import write_folds


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


def check_parts(folds: tuple[Fold, ...], clips: list[Clip], repeats: int, *, grouped: bool) -> None:
    everything = Counter(clip.id for clip in clips)
    for repeat in range(1, repeats + 1):
        own = [fold for fold in folds if fold.repeat == repeat]
        assert Counter(clip_id for fold in own for clip_id in fold.score) == everything
    group_of = {clip.id: clip.group if grouped else clip.id for clip in clips}
    for fold in folds:
        assert Counter(fold.fit + fold.choose + fold.score) == everything
        parts = [{group_of[clip_id] for clip_id in ids} for ids in (fold.fit, fold.choose, fold.score)]
        assert sum(map(len, parts)) == len(set.union(*parts))
        assert min(len(fold.fit), len(fold.choose), len(fold.score)) >= 2


class TestDealing:
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
            (make_clips(20, groups=3), FoldPlan(folds=5), r"3 subject\(s\) cannot be dealt into 5"),
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
        with pytest.raises(DataError, match=r"folds.csv: clip '004' stands in folds 'a' and 'b'"):
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
