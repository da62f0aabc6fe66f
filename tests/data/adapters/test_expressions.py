"""Data sets of recorded expressions: what is read from each owner's layout, and what is refused by name."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from eri.data import ClipTable, load_clips
from eri.data.adapters import daisee
from eri.media.video import read_frames
from eri.utils.errors import ConflictingLabelsError, DataError, MissingSubjectError, SplitError, UnknownClassError
from tests.factories import expressions
from tests.factories.expressions import PATHS, WRITERS, Miniature, write_session

GROUPED = ("ck-plus", "oulu-casia", "bu-3dfe", "mmi")
CASES = [*WRITERS]


def load(root: Path, name: str, size: Miniature = PATHS) -> ClipTable:
    """Write a miniature and read it."""
    return load_clips(WRITERS[name](root, size))


def class_of(table: ClipTable, clip_id: str) -> str:
    """Return the class of a clip."""
    labels = table[clip_id].labels
    assert labels is not None
    return table.task.labels[labels.index(1.0)]


@pytest.mark.parametrize("name", CASES)
def test_every_class_is_read_as_often_as_it_is_there(tmp_path, name):
    table = load(tmp_path, name)
    assert table.task.is_classification
    labelled = [clip.id for clip in table if clip.labels is not None]
    counts = Counter(class_of(table, clip_id) for clip_id in labelled)
    assert set(counts) == set(PATHS.labels(table.task))
    assert len(set(counts.values())) == 1
    assert all(clip.video is not None and clip.video.exists() for clip in table)


@pytest.mark.parametrize("name", CASES)
def test_the_clips_of_a_miniature_can_be_played(tmp_path, name):
    size = Miniature(subjects=1, classes=2, frames=4, side=32)
    clip = load(tmp_path, name, size).clips[-1]
    assert clip.video is not None
    frames = read_frames(clip.video, 4).frames
    assert frames.shape == (4, 32, 32, 3)
    assert abs(frames[-1].astype(int) - frames[0]).max() > 30


@pytest.mark.parametrize("name", GROUPED)
def test_data_sets_without_splits_are_for_folds_of_subjects(tmp_path, name):
    table = load(tmp_path, name)
    assert {clip.split for clip in table} == {"train"}
    assert sorted(Counter(clip.group for clip in table).values()) == [3, 3, 3, 3]


class TestDfew:
    def test_each_clip_is_held_out_by_one_fold_and_fold_one_is_val(self, tmp_path):
        table = load(tmp_path, "dfew")
        assert Counter(table.folds.values()) == dict.fromkeys("12345", 12)
        assert {clip.id for clip in table.split("val")} == {name for name, fold in table.folds.items() if fold == "1"}
        assert class_of(table, "00003") == "Neutral"
        assert table["00003"].group is None

    def test_original_videos_win_over_crops_unless_those_are_given(self, tmp_path):
        expressions.write_dfew(tmp_path, PATHS)
        for path in ("original/part_1/1.mp4", "original/part_2/2.mp4", "original/3.mp4"):
            file = tmp_path / "Clip" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        videos = [clip.video for clip in load_clips(tmp_path)][:4]
        names = ["part_1/1.mp4", "part_2/2.mp4", "3.mp4", "00004"]
        assert videos == [tmp_path / "Clip/original" / name for name in names]
        cropped = load_clips(tmp_path / "Clip" / "clip_224x224")
        assert cropped["00001"].video == tmp_path / "Clip/clip_224x224/00001"
        assert cropped.fingerprint == load_clips(tmp_path).fingerprint

    def test_the_media_need_not_be_there(self, tmp_path):
        expressions.write_dfew(tmp_path, PATHS)
        shutil.rmtree(tmp_path / "Clip")
        assert len(load_clips(tmp_path)) == 60

    @pytest.mark.parametrize(
        ("file", "old", "new", "error", "part"),
        [
            ("test/set_2", "13,1\n", "13,8\n", UnknownClassError, "set_2.csv, line 2: clip 00013: label is '8'"),
            ("test/set_2", "13,1\n", "13,2\n", ConflictingLabelsError, "clip 00013 is Sad, but Happy in another list"),
            ("test/set_2", "13,1\n", "1,1\n", SplitError, "1 clip in the test lists of set_1 and set_2: 00001"),
            ("train/set_1", "13,1\n", "1,1\n", SplitError, "1 clip in both lists of set_1, train and test: 00001"),
            ("train/set_1", "13,1\n", "99,1\n", SplitError, "in the training list of set_1 but in no test list: 00099"),
            ("train/set_1", "13,1\n", "", SplitError, "1 clip in no list of set_1: 00013"),
            ("train/set_1", "13,1\n", "13,1\n13,1\n", DataError, "id 00013 is already on line 2"),
            ("train/set_1", "13,1\n", "13a,1\n", DataError, "id '13a' is not a number"),
            ("train/set_1", "video_name", "name", DataError, "no column 'video_name'"),
        ],
    )
    def test_bad_lists_are_refused_by_name(self, tmp_path, file, old, new, error, part):
        expressions.write_dfew(tmp_path, PATHS)
        split, name = file.split("/")
        path = tmp_path / "EmoLabel_DataSplit" / f"{split}(single-labeled)" / f"{name}.csv"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(error) as caught:
            load_clips(tmp_path)
        assert part in str(caught.value)
        assert caught.value.hint

    def test_a_missing_list_is_named(self, tmp_path):
        expressions.write_dfew(tmp_path, PATHS)
        path = tmp_path / "EmoLabel_DataSplit" / "test(single-labeled)" / "set_4.csv"
        path.unlink()
        with pytest.raises(SplitError, match=r"test\(single-labeled\)/set_4\.csv: no such file"):
            load_clips(tmp_path)


class TestAfew:
    def test_splits_and_ids(self, tmp_path):
        table = load(tmp_path, "afew")
        assert [len(table.split(split)) for split in ("train", "val", "test")] == [12, 12, 1]
        assert table["Val-Fear-002000001"].video == tmp_path / "Val_AFEW/Fear/002000001.avi"
        assert class_of(table, "Val-Fear-002000001") == "Fear"
        assert table.split("test")[0].labels is None

    def test_shorter_names_of_folders_will_do(self, tmp_path):
        expressions.write_afew(tmp_path, PATHS)
        expected = load_clips(tmp_path).fingerprint
        for old, new in (("Train_AFEW", "Train"), ("Val_AFEW", "val"), ("Test_vid_Distribute", "Test")):
            (tmp_path / old).rename(tmp_path / new)
        assert load_clips(tmp_path).fingerprint == expected

    def test_a_folder_of_videos_that_is_no_class(self, tmp_path):
        expressions.write_afew(tmp_path, PATHS)
        (tmp_path / "Val_AFEW" / "Fear").rename(tmp_path / "Val_AFEW" / "Faer")
        with pytest.raises(UnknownClassError, match=r"folder Val_AFEW/Faer: 'Faer' is no class \(did you mean 'Fear'"):
            load_clips(tmp_path)

    def test_a_missing_split(self, tmp_path):
        expressions.write_afew(tmp_path, PATHS)
        shutil.rmtree(tmp_path / "Val_AFEW")
        with pytest.raises(SplitError, match="has no folder Val_AFEW"):
            load_clips(tmp_path)


class TestDaisee:
    def test_splits_subjects_and_levels(self, tmp_path):
        table = load(tmp_path, "daisee")
        clip = table["2000010003"]
        assert (clip.split, clip.group, class_of(table, clip.id)) == ("val", "200001", "high")
        assert clip.video == tmp_path / "DataSet/Validation/200001/2000010003/2000010003.avi"

    def test_engagement_is_a_number_where_asked_for(self, tmp_path):
        expressions.write_daisee(tmp_path, Miniature(classes=4, media=False))
        table = load_clips(tmp_path, "daisee-engagement")
        assert (table.task, table.task.kind) == (daisee.ENGAGEMENT, "regression")
        assert {clip.labels for clip in table} == {(0.0,), (1 / 3,), (2 / 3,), (1.0,)}
        assert [clip.id for clip in table] == [clip.id for clip in load_clips(tmp_path)]

    def test_another_container_is_found(self, tmp_path):
        expressions.write_daisee(tmp_path, PATHS)
        path = tmp_path / "DataSet/Train/100000/1000000001/1000000001.avi"
        path.rename(path.with_suffix(".mp4"))
        assert load_clips(tmp_path)["1000000001"].video == path.with_suffix(".mp4")
        shutil.rmtree(tmp_path / "DataSet")
        assert load_clips(tmp_path)["1000000001"].video == path

    @pytest.mark.parametrize(
        ("old", "new", "error", "part"),
        [
            ("1000000002.avi,0,1,", "1000000002.avi,0,4,", UnknownClassError, "line 3: clip 1000000002: Engagement"),
            ("1000000002.avi,", "1000000001.avi,", ConflictingLabelsError, "clip 1000000001: Engagement is 1, but 0"),
            ("1000000002.avi,", "2000010003.avi,", ConflictingLabelsError, "in two tables of labels: 2000010003"),
            ("1000000002.avi,", "42.avi,", MissingSubjectError, "line 3: '42.avi' does not begin with a subject's six"),
            ("Engagement", "engagement", DataError, "no column 'Engagement' (did you mean 'engagement'?)"),
        ],
    )
    def test_bad_tables_are_refused_by_name(self, tmp_path, old, new, error, part):
        expressions.write_daisee(tmp_path, PATHS)
        path = tmp_path / "Labels" / "TrainLabels.csv"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(error) as caught:
            load_clips(tmp_path)
        assert part in str(caught.value)
        assert caught.value.hint

    def test_a_missing_table_is_named(self, tmp_path):
        expressions.write_daisee(tmp_path, PATHS)
        (tmp_path / "Labels" / "ValidationLabels.csv").unlink()
        with pytest.raises(SplitError, match=r"ValidationLabels\.csv: no such file"):
            load_clips(tmp_path)


class TestCkPlus:
    def test_sequences_with_a_code_are_read(self, tmp_path):
        table = load(tmp_path, "ck-plus")
        clip = table["S006_002"]
        assert clip.video == tmp_path / "cohn-kanade-images/S006/002"
        assert (clip.group, class_of(table, clip.id)) == ("S006", "contempt")
        assert "S006_004" not in table

    def test_the_folders_of_the_archives_may_stay(self, tmp_path):
        expressions.write_ck_plus(tmp_path / "plain", PATHS)
        for name, around in (("cohn-kanade-images", "extended-cohn-kanade-images"), ("Emotion", "Emotion_labels")):
            (tmp_path / around).mkdir()
            (tmp_path / "plain" / name).rename(tmp_path / around / name)
        (tmp_path / "Emotion_labels" / "Emotion" / "__MACOSX").mkdir()
        assert len(load_clips(tmp_path)) == 12

    def label(self, root: Path, name: str, text: str) -> None:
        expressions.write_ck_plus(root, PATHS)
        path = root / "Emotion" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @pytest.mark.parametrize("text", ["0.0000000e+00", "8", "2.5", "nan", "happy"])
    def test_another_code_is_refused(self, tmp_path, text):
        self.label(tmp_path, "S005/004/S005_004_00000009_emotion.txt", text)
        with pytest.raises(UnknownClassError, match=r"folder S005/004: its code is '.*'; known: 1 \(anger\) to 7"):
            load_clips(tmp_path)

    def test_two_codes_are_refused(self, tmp_path):
        self.label(tmp_path, "S005/002/S005_002_00000009_emotion.txt", "5")
        with pytest.raises(ConflictingLabelsError, match="folder S005/002: its files hold the codes 2 and 5"):
            load_clips(tmp_path)

    def test_the_same_code_twice_will_do(self, tmp_path):
        self.label(tmp_path, "S005/002/S005_002_00000009_emotion.txt", "2")
        assert len(load_clips(tmp_path)) == 12

    def test_a_folder_that_is_no_subject_is_refused(self, tmp_path):
        self.label(tmp_path, "X1/001/X1_001_00000009_emotion.txt", "5")
        with pytest.raises(MissingSubjectError, match="folder X1/001: 'X1' is no subject"):
            load_clips(tmp_path)

    def test_an_empty_label_file_is_named(self, tmp_path):
        self.label(tmp_path, "S005/004/S005_004_00000009_emotion.txt", "")
        with pytest.raises(DataError, match=r"S005_004_00000009_emotion\.txt: the file is empty"):
            load_clips(tmp_path)

    def test_pictures_alone_are_not_enough(self, tmp_path):
        expressions.write_ck_plus(tmp_path, PATHS)
        shutil.rmtree(tmp_path / "Emotion")
        with pytest.raises(DataError, match="has no folder Emotion"):
            load_clips(tmp_path, "ck-plus")


class TestSubjectTrees:
    def test_oulu_takes_the_original_pictures_in_normal_visible_light(self, tmp_path):
        table = load(tmp_path, "oulu-casia")
        assert table["P002-Fear"].video == tmp_path / "OriginalImg/VL/Strong/P002/Fear"
        assert class_of(table, "P002-Fear") == "Fear"
        cropped = load_clips(tmp_path / "PreProcess_Img")
        assert cropped["P002-Fear"].video == tmp_path / "PreProcess_Img/VL_Acropped/Strong/P002/Fear"
        assert load_clips(tmp_path / "OriginalImg" / "VL" / "Strong").fingerprint == table.fingerprint

    def test_oulu_is_found_in_the_folders_of_its_archives(self, tmp_path):
        expressions.write_oulu_casia(tmp_path / "B_OriginalImg", PATHS)
        assert len(load_clips(tmp_path)) == 12
        shutil.rmtree(tmp_path / "B_OriginalImg" / "OriginalImg" / "VL")
        assert len(load_clips(tmp_path / "B_OriginalImg")) == 12  # the cropped ones are left

    def test_meshes_and_folders_of_tools_are_passed_over(self, tmp_path):
        table = load(tmp_path, "bu-3dfe")
        assert {clip.group for clip in table} == {"F001", "M001", "F002", "M002"}
        assert table["M002-Disgust"].video == tmp_path / "M002/Disgust"

    def test_single_scans_are_told_from_sequences(self, tmp_path):
        (tmp_path / "F0001").mkdir()
        with pytest.raises(DataError, match=r"holds the single scans of BU-3DFE.*\n.*BU-4DFE"):
            load_clips(tmp_path, "bu-3dfe")

    @pytest.mark.parametrize(("name", "home"), [("oulu-casia", "OriginalImg/VL/Strong/P001"), ("bu-3dfe", "F001")])
    def test_a_folder_of_pictures_that_is_no_class(self, tmp_path, name, home):
        WRITERS[name](tmp_path, PATHS)
        subject = tmp_path / home
        (subject / "Fear").rename(subject / "Fera")
        (subject / "Notes").mkdir()
        with pytest.raises(UnknownClassError, match=rf"{subject.name}/Fera: 'Fera' is no class .did you mean 'Fear'"):
            load_clips(tmp_path)

    @pytest.mark.parametrize(("name", "home"), [("oulu-casia", "OriginalImg/VL/Strong"), ("bu-3dfe", "")])
    def test_a_folder_of_classes_that_is_no_subject(self, tmp_path, name, home):
        WRITERS[name](tmp_path, PATHS)
        subject = next(path for path in sorted((tmp_path / home).iterdir()) if path.name.endswith("001"))
        subject.rename(subject.with_name("Jane"))
        with pytest.raises(MissingSubjectError, match="folder Jane: is no subject's folder, such as"):
            load_clips(tmp_path)


class TestMmi:
    def test_frontal_videos_of_the_six_expressions_are_read(self, tmp_path):
        table = load(tmp_path, "mmi")
        read = {clip.id: (clip.group, class_of(table, clip.id)) for clip in table if clip.group == "S002"}
        assert read == {"9": ("S002", "anger"), "10": ("S002", "disgust"), "11": ("S002", "fear")}
        assert table["3"].video == tmp_path / "Sessions/3/S001-003.avi"
        assert load_clips(tmp_path / "Sessions").fingerprint == table.fingerprint

    def session(self, root: Path, **options) -> Path:
        """Write a further session and return its folder."""
        expressions.write_mmi(root, PATHS)
        folder = root / "Sessions" / "900"
        settings = {"code": "5", "subject": 31, **options}
        write_session(folder, settings.pop("stem", "S031-001"), **settings)
        return folder

    def test_the_subject_may_be_in_the_name_of_the_video_only(self, tmp_path):
        (self.session(tmp_path, subject=None) / "S031-001.avi").touch()
        assert load_clips(tmp_path)["900"].group == "S031"

    def test_a_session_of_several_videos_gives_the_frontal_one(self, tmp_path):
        folder = self.session(tmp_path)
        tracks = '<track view="1" filename="S031-001.avi"/><track view="0" filename="S031-001-b.avi"/>'
        (folder / "session.xml").write_text(f'<session><subject id="31"/>{tracks}</session>')
        for name in ("S031-001.avi", "S031-001-b.avi"):
            (folder / name).touch()
        assert load_clips(tmp_path)["900"].video == folder / "S031-001-b.avi"

    def test_a_session_without_a_video_is_passed_over(self, tmp_path):
        self.session(tmp_path)
        assert "900" not in load_clips(tmp_path)

    def test_an_unknown_subject_is_refused(self, tmp_path):
        (self.session(tmp_path, subject=None, stem="clip") / "clip.avi").touch()
        with pytest.raises(MissingSubjectError, match=r"session 900: neither session\.xml nor the file name clip\.avi"):
            load_clips(tmp_path)

    def test_two_codes_are_refused(self, tmp_path):
        folder = self.session(tmp_path)
        (folder / "S031-001.avi").touch()
        (folder / "other.xml").write_text('<Annotation><Metatag Name="Emotion" Value="6"/></Annotation>')
        with pytest.raises(ConflictingLabelsError, match="session 900: is annotated as 5 and 6"):
            load_clips(tmp_path)

    def test_a_code_that_is_no_number_is_refused(self, tmp_path):
        (self.session(tmp_path, code="joy") / "S031-001.avi").touch()
        with pytest.raises(UnknownClassError, match=r"session 900: its code is 'joy'; known: 1 \(anger\) to 6"):
            load_clips(tmp_path)

    def test_a_file_that_is_no_xml_is_named(self, tmp_path):
        (self.session(tmp_path) / "session.xml").write_text("<session>")
        with pytest.raises(DataError, match="session 900: no element found"):
            load_clips(tmp_path)

    def test_nothing_to_keep_is_told(self, tmp_path):
        folder = self.session(tmp_path)
        for other in folder.parent.iterdir():
            if other != folder:
                shutil.rmtree(other)
        with pytest.raises(DataError, match="no session holds a frontal video of one of anger"):
            load_clips(tmp_path)
