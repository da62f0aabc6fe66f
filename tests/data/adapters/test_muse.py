"""MuSe-Mimic and MuSe-Perception: the layout they share with MuSe-Reaction, under their own names."""

import pytest

from eri.config.tasks import MIMIC, PERCEPTION
from eri.data import load_clips
from eri.utils.errors import DataError
from tests.factories.challenge import make_entries, touch, write_muse

TASKS = pytest.mark.parametrize("task", [MIMIC, PERCEPTION], ids=lambda task: task.name)


@TASKS
def test_clips_come_with_split_labels_and_faces(tmp_path, task):
    entries = make_entries(5, 4, 3, task=task, seed=1)
    home = write_muse(tmp_path, entries, task=task, faces=touch)
    table = load_clips(tmp_path)
    assert (table.name, table.task, table.id_column, table.root) == (task.name, task, task.id_column, home)
    assert {clip.id: (clip.split, clip.labels) for clip in table} == {
        entry.id: (entry.split, entry.labels) for entry in entries
    }
    assert {clip.video.name for clip in table if clip.video} == {entry.id for entry in entries}


@TASKS
def test_further_label_columns_are_passed_over(tmp_path, task):
    home = write_muse(tmp_path, task=task)
    before = load_clips(tmp_path).fingerprint
    lines = (home / "labels.csv").read_text().splitlines()
    (home / "labels.csv").write_text("\n".join([f"{lines[0]},naive", *(f"{line},7" for line in lines[1:])]))
    assert load_clips(tmp_path).fingerprint == before


@TASKS
def test_labels_on_another_scale_are_refused(tmp_path, task):
    home = write_muse(tmp_path, make_entries(shuffle=False, task=task), task=task)
    path = home / "labels.csv"
    lines = path.read_text().splitlines()
    cells = lines[1].split(",")
    lines[1] = ",".join([cells[0], "75", *cells[2:]])
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=f"{task.labels[0]} is 75, outside") as caught:
        load_clips(tmp_path)
    assert "'range'" in str(caught.value)


@TASKS
def test_an_id_column_of_another_name_is_refused(tmp_path, task):
    home = write_muse(tmp_path, task=task)
    path = home / "labels.csv"
    path.write_text(path.read_text().replace(str(task.id_column), "File_ID", 1))
    with pytest.raises(DataError, match=f"no column '{task.id_column}'"):
        load_clips(tmp_path)


@TASKS
def test_a_clip_in_one_table_only_is_named(tmp_path, task):
    home = write_muse(tmp_path, make_entries(shuffle=False, task=task), task=task)
    path = home / "labels.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match=r"1 clip of .*partition\.csv not in .*labels\.csv: 0*9"):
        load_clips(tmp_path)
