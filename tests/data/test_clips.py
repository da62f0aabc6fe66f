"""The clip table: lookup, splits, labels, and what its fingerprint sees."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eri.config.tasks import Task
from eri.data import Clip, ClipTable
from eri.utils.errors import DataError

TASK = Task("two", ("a", "b"))


def make_table(*clips: Clip) -> ClipTable:
    return ClipTable("mine", Path("root"), TASK, clips)


@pytest.fixture
def table() -> ClipTable:
    return make_table(
        Clip("1", "train", Path("1.mp4"), None, (0.1, 0.2), "s1"),
        Clip("2", "test", None, Path("2.wav")),
        Clip("3", "train", None, None, (0.3, 0.4), "s2"),
    )


def test_lookup_by_id_and_split(table):
    assert len(table) == 3
    assert "2" in table
    assert "4" not in table
    assert table["3"].labels == (0.3, 0.4)
    assert [clip.id for clip in table.split("train")] == ["1", "3"]
    with pytest.raises(DataError, match="no clip has the id '4'"):
        table["4"]


def test_sound_comes_from_the_audio_file_else_from_the_video(table):
    assert [clip.audio_source for clip in table] == [Path("1.mp4"), Path("2.wav"), None]


def test_labels_come_in_the_order_asked_for(table):
    np.testing.assert_array_equal(table.label_matrix(["3", "1"]), [[0.3, 0.4], [0.1, 0.2]])
    assert table.label_matrix([]).shape == (0, 2)
    with pytest.raises(DataError, match="clip '2' has no labels"):
        table.label_matrix(["2"])


def test_doubled_unsafe_and_wrongly_labelled_clips_are_refused():
    with pytest.raises(DataError, match="'1' is duplicated"):
        make_table(Clip("1", "train"), Clip("1", "val"))
    with pytest.raises(DataError, match="cannot name a feature file"):
        make_table(Clip("a/b", "train"))
    with pytest.raises(DataError, match="has 1 labels, the task 'two' has 2"):
        make_table(Clip("1", "train", labels=(0.5,)))


@pytest.mark.parametrize("labels", [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
def test_labels_of_classes_must_be_one_hot(table, labels):
    task = Task.of_classes("two", TASK.labels)
    good = ClipTable("mine", Path(), task, (Clip("1", "train", labels=task.one_hot("b")), Clip("2", "test")))
    assert good["1"].labels == (0.0, 1.0)
    with pytest.raises(DataError, match="the labels of clip '1' are not one-hot"):
        replace(good, clips=(Clip("1", "train", labels=labels),))


def test_the_fingerprint_tells_classes_from_numbers():
    clips = (Clip("1", "train", labels=(0.0, 1.0)),)
    numbers = ClipTable("mine", Path(), TASK, clips)
    assert numbers.fingerprint == "22ddfbd5b616e701219045061e1ec1cc79d9a5d24d351986aaa44f90127ed716"
    assert replace(numbers, task=Task.of_classes("two", TASK.labels)).fingerprint != numbers.fingerprint


def test_the_fingerprint_sees_the_data_and_not_where_they_lie(table):
    first, *rest = table.clips
    moved = make_table(replace(first, video=Path("elsewhere.mp4")), *rest)
    assert moved.fingerprint == table.fingerprint
    for change in ({"labels": (0.1, 0.3)}, {"group": "s9"}, {"split": "val"}, {"id": "0"}):
        assert make_table(replace(first, **change), *rest).fingerprint != table.fingerprint
