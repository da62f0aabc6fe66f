"""The layout of EMI: what is read, where test clips come from, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eri.config.tasks import EMI
from eri.data import load_clips
from eri.utils.errors import DataError
from tests.factories.challenge import EMI_HEADER, Entry, make_entries, touch, write_emi, write_table

few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_clips(folder)
    assert caught.value.hint, "an error about data says the way out"
    return str(caught.value)


@pytest.fixture
def entries():
    return make_entries(4, 3, 3, task=EMI, seed=2)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("test_table", [True, False])
def test_clips_come_with_split_labels_and_media(tmp_path, entries, padded, test_table):
    write_emi(tmp_path, entries, video=touch, audio=touch, padded=padded, test_table=test_table)
    table = load_clips(tmp_path)
    assert (table.name, table.task, table.id_column, table.root) == ("emi", EMI, "Filename", tmp_path)
    assert {clip.id: (clip.split, clip.labels) for clip in table} == {
        entry.id: (entry.split, entry.labels) for entry in entries
    }
    for clip in table:
        home = tmp_path / "test_data" if clip.split == "test" else tmp_path
        assert (clip.video, clip.audio) == (home / f"raw/{clip.id}.mp4", home / f"audio/{clip.id}.mp3")


@pytest.mark.parametrize("kind", ["video", "audio", "faces", "vit", "wav2vec2"])
def test_without_a_table_anything_named_after_a_clip_makes_a_test_clip(tmp_path, entries, kind):
    writers = {kind: touch} if kind in ("video", "audio", "faces") else {"features": {kind: touch}}
    table = load_clips(write_emi(tmp_path, entries, **writers))
    assert [clip.id for clip in table.split("test")] == sorted(entry.id for entry in entries if entry.split == "test")


def test_without_test_data_there_are_no_test_clips(tmp_path, entries):
    assert load_clips(write_emi(tmp_path, entries)).split("test") == ()


def test_files_of_unknown_kind_make_no_clip(tmp_path, entries):
    write_emi(tmp_path, entries, audio=touch)
    (tmp_path / "test_data" / "audio" / "readme.txt").touch()
    assert len(load_clips(tmp_path)) == 10


def test_test_data_with_names_that_are_no_ids_needs_a_table(tmp_path, entries):
    write_emi(tmp_path, entries, audio=touch)
    (tmp_path / "test_data" / "audio" / "intro.mp3").touch()
    assert "test_data: 1 file name(s) that are no clip's: intro" in refusal(tmp_path)
    write_emi(tmp_path, entries, test_table=True)
    assert len(load_clips(tmp_path)) == 10


def test_a_test_table_in_test_data_may_hold_labels(tmp_path, entries):
    write_emi(tmp_path, entries)
    row = ["12660", *["0.1"] * 6]
    write_table(tmp_path / "test_data" / "test.csv", [EMI_HEADER, row])
    (clip,) = load_clips(tmp_path).split("test")
    assert (clip.id, clip.labels) == ("12660", (0.1,) * 6)


def test_face_pictures_are_the_video_where_there_is_no_raw_one(tmp_path, entries):
    write_emi(tmp_path, entries, faces=touch)
    clips = {clip.id: clip for clip in load_clips(tmp_path)}
    first = entries[0]
    home = tmp_path / "test_data" if first.split == "test" else tmp_path
    assert clips[first.id].video == home / "face_images" / first.id
    raw = home / "raw" / f"{first.id}.mp4"
    raw.parent.mkdir()
    raw.touch()
    assert load_clips(tmp_path)[first.id].video == raw


def test_a_clip_without_media_has_its_expected_path_only_where_raw_videos_are(tmp_path):
    write_emi(tmp_path, [Entry("00000", "train", (0.1,) * 6), Entry("00001", "val", (0.1,) * 6)])
    assert load_clips(tmp_path)["00000"].video is None
    (tmp_path / "raw").mkdir()
    assert load_clips(tmp_path)["00000"].video == tmp_path / "raw" / "00000.mp4"


def test_media_of_test_clips_may_lie_with_the_others(tmp_path, entries):
    write_emi(tmp_path, entries, test_table=True)
    (test, *_) = [entry for entry in entries if entry.split == "test"]
    (tmp_path / "Audio").mkdir()
    (tmp_path / "Audio" / f"{int(test.id)}.MP3").touch()
    assert load_clips(tmp_path)[test.id].audio == tmp_path / "Audio" / f"{int(test.id)}.MP3"


@pytest.mark.parametrize(
    ("name", "rows", "parts"),
    [
        (
            "train_split.csv",
            [[*EMI_HEADER[:4], "Empathic-Pain", *EMI_HEADER[5:]], ["0", *["0.1"] * 6]],
            ["line 1", "no column 'Empathic Pain' (did you mean 'Empathic-Pain'?)"],
        ),
        ("train_split.csv", [EMI_HEADER, ["0", *["0.5"] * 6]], ["line 2: clip 00000: the labels add up to 3"]),
        ("train_split.csv", [EMI_HEADER, ["0", "1.2", *["0"] * 5]], ["clip 00000: Admiration is 1.2, outside [0, 1]"]),
        ("train_split.csv", [EMI_HEADER, ["0", *[""] * 6]], ["line 2: clip 00000: all labels are empty"]),
        ("train_split.csv", [EMI_HEADER, ["0.mp4", *["0"] * 6]], ["line 2", "'0.mp4' is not a number"]),
        (
            "valid_split.csv",
            [EMI_HEADER, ["5", *["0"] * 6], ["00005", *["0"] * 6]],
            ["line 3: id 00005 is already on line 2"],
        ),
        ("valid_split.csv", [EMI_HEADER, ["0", *["0"] * 6]], ["1 clip both in train and in val: 00000"]),
        ("test_split.csv", [["Filename"], ["00001"]], ["1 clip both in val and in test: 00001"]),
        ("test_split.csv", [["id"], ["00001"]], ["test_split.csv, line 1: no column 'Filename'"]),
    ],
)
def test_bad_tables_are_refused(tmp_path, name, rows, parts):
    write_emi(tmp_path, [Entry("00000", "train", (0.1,) * 6), Entry("00001", "val", (0.1,) * 6)])
    write_table(tmp_path / name, rows)
    message = refusal(tmp_path)
    for part in parts:
        assert part in message


def test_sums_within_rounding_are_labels(tmp_path):
    write_emi(tmp_path, [Entry("00000", "train", (0.17,) * 6), Entry("00001", "val", (0.0,) * 6)])
    assert load_clips(tmp_path)["00000"].labels == (0.17,) * 6


@pytest.mark.parametrize(
    ("lost", "kept"), [("train_split.csv", "valid_split.csv"), ("valid_split.csv", "train_split.csv")]
)
def test_one_table_without_the_other_is_named(tmp_path, lost, kept):
    write_emi(tmp_path)
    (tmp_path / lost).unlink()
    assert f"has no {lost}" in refusal(tmp_path)
    assert f"has no {lost}" in refusal(tmp_path / kept)


def test_tables_of_these_names_without_any_of_the_labels_are_told_what_they_lack(tmp_path):
    for name in ("train_split.csv", "valid_split.csv"):
        write_table(tmp_path / name, [["text"], ["hello"]])
    assert "no column 'Filename', 'Admiration'" in refusal(tmp_path)
    (tmp_path / "valid_split.csv").unlink()
    assert "no known data set" in refusal(tmp_path)


@few
@given(votes=st.lists(st.lists(st.integers(0, 5), min_size=7, max_size=7).filter(any), min_size=2, max_size=6))
def test_shares_of_annotators_come_back_as_they_are(tmp_path, votes):
    counts = np.array(votes)
    labels = counts[:, :6] / counts.sum(axis=1, keepdims=True)
    rows = [[str(number), *map(repr, row)] for number, row in enumerate(labels.tolist())]
    write_table(tmp_path / "train_split.csv", [EMI_HEADER, *rows[1:]])
    write_table(tmp_path / "valid_split.csv", [EMI_HEADER, rows[0]])
    table = load_clips(tmp_path)
    np.testing.assert_array_equal(table.label_matrix([f"{number:05d}" for number in range(len(rows))]), labels)
