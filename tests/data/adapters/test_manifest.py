"""The manifest adapter: what the YAML can say, and what contradicts itself or the table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from eri.config.tasks import TASKS, Task
from eri.data import load_clips
from eri.utils.errors import DataError

SHARED = Path(__file__).parents[4] / "shared" / "media" / "emodb"

DESCRIPTION: dict[str, Any] = {
    "name": "voices",
    "table": "labels.csv",
    "columns": {"id": "id", "split": "part", "group": "speaker"},
    "paths": {"video": "video/{speaker}/{id}.mp4", "audio": "wav"},
    "splits": {"train": "tr", "val": ["dv", "dev"], "test": "te"},
    "labels": ["joy", "big fear"],
    "range": [0, 10],
}
TABLE = pd.DataFrame(
    {
        "id": ["b", "a", "c", "d"],
        "part": ["tr", "DV", "dev", "te"],
        "speaker": ["03", "04", "05", "06"],
        "wav": ["x/b.wav", "", "/abs/c.wav", "d.wav"],
        "joy": [0.5, 10, 0, None],
        "big fear": [1, 2, 3, None],
    }
)


@pytest.fixture
def describe(tmp_path: Path) -> Callable[..., Path]:
    """Write a table and its description with changes; a value of None takes a key out."""

    def write(table: pd.DataFrame = TABLE, /, **changes: Any) -> Path:
        values = {key: value for key, value in (DESCRIPTION | changes).items() if value is not None}
        target = tmp_path / values.get("root", ".") / values["table"]
        target.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(target) if target.suffix == ".parquet" else table.to_csv(target, index=False)
        path = tmp_path / "voices.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


def test_a_table_is_read_as_described(describe, tmp_path):
    table = load_clips(describe())
    assert (table.name, table.root, table.id_column) == ("voices", tmp_path, "id")
    assert table.task == Task("voices", ("joy", "big fear"), 0.0, 10.0, "linear")
    assert [(clip.id, clip.split, clip.group, clip.labels) for clip in table] == [
        ("a", "val", "04", (10.0, 2.0)),
        ("b", "train", "03", (0.5, 1.0)),
        ("c", "val", "05", (0.0, 3.0)),
        ("d", "test", "06", None),
    ]
    assert table["a"].video == tmp_path / "video/04/a.mp4"
    assert [clip.audio for clip in table] == [None, tmp_path / "x/b.wav", Path("/abs/c.wav"), tmp_path / "d.wav"]


def test_parquet_gives_the_same_clips(describe):
    expected = load_clips(describe()).fingerprint
    assert load_clips(describe(table="labels.parquet")).fingerprint == expected


def test_root_is_relative_to_the_description_and_the_table_to_the_root(describe, tmp_path):
    table = load_clips(describe(root="data/voices"))
    assert table["a"].video == tmp_path / "data/voices/video/04/a.mp4"


def test_the_least_that_can_be_said(describe):
    simple = TABLE.assign(part=["train", "Val", "test", "test"])
    table = load_clips(describe(simple, columns={"id": "id", "split": "part"}, paths=None, splits=None))
    assert [(clip.split, clip.video, clip.audio, clip.group) for clip in table][:2] == [
        ("val", None, None, None),
        ("train", None, None, None),
    ]


def test_one_split_for_all_rows_is_stated(describe):
    table = load_clips(describe(TABLE.iloc[:3], columns={"id": "id"}, split="val"))
    assert len(table.split("val")) == 3


def test_an_unlabelled_table_is_a_test_split(describe):
    bare = TABLE[["id", "wav"]]
    table = load_clips(describe(bare, columns={"id": "id"}, paths={"audio": "wav"}, split="test"))
    assert [clip.labels for clip in table] == [None] * 4
    with pytest.raises(DataError, match="no column 'joy', 'big fear'"):
        load_clips(describe(bare, columns={"id": "id"}, paths={"audio": "wav"}, split="train"))


def test_ids_of_digits_are_padded_and_brackets_taken_off(describe):
    ints = TABLE.assign(id=[1, 20, 300, 4])
    table = load_clips(describe(ints, id_digits=5))
    assert [clip.id for clip in table] == ["00001", "00004", "00020", "00300"]
    assert table["00020"].video is not None
    assert table["00020"].video.name == "00020.mp4"
    assert "00020" in load_clips(describe(TABLE.assign(id=["[00001]", "[00020]", "[00300]", "[00004]"])))


def test_a_column_of_paths_may_be_the_id_column_itself(describe, tmp_path):
    names = TABLE.assign(id=["b.wav", "a.wav", "c.wav", "d.wav"])
    assert load_clips(describe(names, paths={"audio": "id"}))["a.wav"].audio == tmp_path / "a.wav"


@pytest.mark.parametrize(
    ("bounds", "asked", "activation"),
    [([0, 1], None, "sigmoid"), ([0, 1], "softmax", "softmax"), ([-1, 1], None, "linear")],
)
def test_activation_follows_the_range_unless_stated(describe, bounds, asked, activation):
    unit = TABLE.assign(joy=TABLE["joy"] / 10).assign(**{"big fear": TABLE["big fear"] / 10})
    assert load_clips(describe(unit, range=bounds, activation=asked)).task.activation == activation


def test_a_known_task_must_be_that_task(describe):
    eri = TASKS["eri"]
    frame = TABLE.assign(**dict.fromkeys(eri.labels, 0.5))
    assert load_clips(describe(frame, labels=list(eri.labels), range=[0, 1], task="eri")).task == eri
    with pytest.raises(DataError, match="task 'eri' has labels Adoration"):
        load_clips(describe(task="eri"))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"columns": {"id": "id"}}, "state either columns.split"),
        ({"split": "val"}, "state either columns.split"),
        ({"columns": {"id": "id", "split": "part", "subject": "x"}}, "columns.subject: no such setting"),
        ({"labels": ["joy", "joy"]}, "labels: Value error, a label is named twice"),
        ({"labels": []}, "labels: List should have at least 1 item"),
        ({"labels": None}, "labels: Field required"),
        ({"range": [1, 0]}, "range is [smallest, largest]"),
        ({"splits": {"train": "tr", "val": "tr"}}, "one name of the table to two splits"),
        ({"splits": {"dev": "tr"}}, "splits.dev"),
        ({"adapter": "hume-reaction"}, "adapter: String should match"),
        ({"columns": {"id": "ID", "split": "prat", "group": "subject"}}, "no column 'ID' (did you mean 'id'?), 'prat'"),
        ({"labels": ["joy", "fear of"]}, "no column 'fear of'"),
        ({"paths": {"video": "{sbeaker}/{id}.mp4"}}, "no column 'sbeaker' (did you mean 'speaker'?)"),
        ({"paths": {"audio": "wave"}}, "no column 'wave'"),
        ({"splits": {"train": "tr", "val": "dv", "test": "te"}}, "line 4: clip c: part is 'dev'"),
        ({"range": [0, 1]}, "line 3: clip a: joy is 10.0, outside [0, 1]"),
        ({"id_digits": 5}, "ids that cannot be used (4)"),
    ],
)
def test_contradictions_are_refused_by_name(describe, changes, part):
    with pytest.raises(DataError) as caught:
        load_clips(describe(**changes))
    assert part in str(caught.value)
    assert caught.value.hint


CLASSES: dict[str, Any] = {
    "kind": "classification",
    "labels": ["calm", "angry"],
    "columns": {"id": "id", "split": "part", "group": "speaker", "class": "mood"},
    "range": None,
}
MOODS = TABLE.assign(mood=["calm", "Angry", "angry", ""])


class TestClassification:
    def test_the_class_column_becomes_one_hot_labels(self, describe):
        table = load_clips(describe(MOODS, **CLASSES))
        assert table.task == Task.of_classes("voices", ("calm", "angry"))
        assert [clip.labels for clip in table] == [(0, 1), (1, 0), (0, 1), None]

    def test_names_of_the_table_may_be_others(self, describe):
        codes = TABLE.assign(mood=[1, 2, 7, 1])
        changes = CLASSES | {"classes": {"calm": 1, "angry": [2, 7]}}
        assert [clip.labels for clip in load_clips(describe(codes, **changes))] == [(0, 1), (1, 0), (0, 1), (1, 0)]
        part = MOODS.assign(mood=["calm", "furious", "furious", ""])
        changes = CLASSES | {"classes": {"angry": "furious"}}
        assert [clip.labels for clip in load_clips(describe(part, **changes))] == [(0, 1), (1, 0), (0, 1), None]

    def test_an_unlabelled_table_is_a_test_split(self, describe):
        changes = CLASSES | {"columns": {"id": "id", "class": "mood"}, "split": "test"}
        assert {clip.labels for clip in load_clips(describe(TABLE, **changes))} == {None}

    @pytest.mark.parametrize(
        ("changes", "part"),
        [
            ({"columns": {"id": "id", "split": "part"}}, "a classification needs columns.class"),
            ({"kind": "regression"}, "columns.class and classes are for 'kind: classification'"),
            ({"classes": {"clam": 1}}, "classes names 'clam', which labels does not list"),
            ({"classes": {"calm": 1, "angry": "1"}}, "one name of the table to two classes"),
            ({"classes": {"calm": "angry"}}, "one name of the table to two classes"),
            ({"labels": ["calm"]}, "a classification needs two classes or more"),
            ({"range": [0, 5]}, "its range is [0, 1]"),
            ({"activation": "sigmoid"}, "and its activation softmax"),
            (
                {"labels": ["clam", "angry"]},
                "line 2: clip b: mood is 'calm' (did you mean 'clam'?); known: clam, angry",
            ),
        ],
    )
    def test_contradictions_are_refused_by_name(self, describe, changes, part):
        with pytest.raises(DataError) as caught:
            load_clips(describe(MOODS, **(CLASSES | changes)))
        assert part in str(caught.value)
        assert caught.value.hint

    def test_a_labelled_split_needs_classes(self, describe):
        with pytest.raises(DataError, match="line 3: clip a: mood is empty"):
            load_clips(describe(MOODS.assign(mood=["calm", "", "angry", ""]), **CLASSES))


@pytest.mark.parametrize(
    ("column", "value", "part"),
    [
        ("id", "a/b", "line 2: clip id 'a/b' cannot name a feature file"),
        ("id", "a", "line 3: id a is already on line 2"),
        ("speaker", None, "line 2: clip b: speaker is empty"),
        ("joy", None, "line 2: clip b: joy is empty"),
        ("joy", "much", "line 2: clip b: joy is 'much'"),
    ],
)
def test_bad_rows_are_refused_with_the_line(describe, column, value, part):
    frame = TABLE.astype(object)
    frame.loc[0, column] = value
    with pytest.raises(DataError) as caught:
        load_clips(describe(frame))
    assert "labels.csv" in str(caught.value)
    assert part in str(caught.value)


def test_problems_of_a_parquet_table_name_the_row(describe):
    with pytest.raises(DataError, match=r"labels\.parquet, row 2: clip a: joy is 10\.0"):
        load_clips(describe(table="labels.parquet", range=[0, 9]))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [1", "a: 1\n\tb: 2\n", "name: a\nname: b\n"])
def test_what_is_no_mapping_is_refused_with_the_file(tmp_path, text):
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"m\.yaml: (the file is empty|expected a mapping|cannot be read as YAML)"):
        load_clips(path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared EmoDB folder is not here")
def test_emodb_is_read_with_the_speakers_apart(tmp_path):
    path = tmp_path / "emodb.yaml"
    labels = ["anger", "boredom", "disgust", "fear", "happiness", "neutral", "sadness"]
    description = {
        "name": "emodb",
        "root": str(SHARED),
        "table": "labels.csv",
        "columns": {"id": "id", "split": "split", "group": "speaker"},
        "paths": {"audio": "audio/{id}.flac"},
        "labels": labels,
    }
    path.write_text(yaml.safe_dump(description))
    table = load_clips(path)
    assert len(table) == 535
    groups = [{clip.group for clip in table.split(split)} for split in ("train", "val", "test")]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10
    assert all(clip.audio is not None and clip.audio.is_file() for clip in table)
