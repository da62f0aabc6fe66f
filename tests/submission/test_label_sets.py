"""The files of EMI, MuSe-Mimic and MuSe-Perception: written, validated, and spoilt in the ways that are theirs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eri.config.tasks import EMI, MIMIC, PERCEPTION, Task
from eri.data import Clip, ClipTable, load_clips
from eri.submission import Code, submission_name, validate_submission, write_submission
from tests.factories.challenge import make_entries, write_emi, write_muse
from tests.submission.mutations import Rows, join

few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
IDS = {
    EMI.name: st.integers(0, 99_998).map(lambda number: f"{number:05d}"),
    MIMIC.name: st.text("0129AZaz", min_size=1, max_size=8).filter(lambda text: text != "train"),
    PERCEPTION.name: st.integers(0, 300).map(str),
}
TASKS = pytest.mark.parametrize("task", [EMI, MIMIC, PERCEPTION], ids=lambda task: task.name)


def make_table(task: Task, ids: list[str]) -> ClipTable:
    train = Clip("99999" if task is EMI else "1000", "train", labels=(0.0,) * len(task.labels))
    clips = [*(Clip(name, "test") for name in ids if name != train.id), train]
    return ClipTable(task.name, Path("data"), task, tuple(sorted(clips, key=lambda clip: clip.id)))


def make_rows(table: ClipTable) -> Rows:
    ids = sorted((clip.id for clip in table.split("test")), key=lambda name: (len(name), name))
    if table.task is MIMIC and not all(map(str.isdecimal, ids)):
        ids.sort()
    values = np.random.default_rng(0).uniform(0.01, 0.99, (len(ids), len(table.task.labels)))
    cells = [[name, *(f"{value:.9f}" for value in row)] for name, row in zip(ids, values.tolist(), strict=True)]
    return [[str(table.task.id_column), *table.task.labels], *cells]


@TASKS
@few
@given(data=st.data())
def test_whatever_is_written_is_valid_and_comes_back(tmp_path, task, data):
    ids = data.draw(st.lists(IDS[task.name], min_size=2, max_size=15, unique=True))
    table = make_table(task, ids)
    names = [clip.id for clip in table.split("test")]
    shape = (len(names), len(task.labels))
    values = data.draw(arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    predictions = pd.DataFrame(values, index=names, columns=list(task.labels))
    path = write_submission(predictions.sample(frac=1, random_state=0), table, tmp_path / "out", overwrite=True)
    back = pd.read_csv(path, index_col=0, dtype={task.id_column: str})
    assert (back.index.name, list(back.columns)) == (task.id_column, list(task.labels))
    np.testing.assert_allclose(back.loc[names].to_numpy(), values, rtol=0, atol=5.1e-10)
    assert {found.code for found in validate_submission(path, table)} <= {Code.CONSTANT_COLUMN}
    if all(name.isdecimal() for name in names) and task is not EMI:
        assert back.index.astype(int).is_monotonic_increasing
    else:
        assert back.index.is_monotonic_increasing


@TASKS
def test_files_of_loaded_data_sets_have_the_tasks_columns_and_ids(tmp_path, task):
    entries = make_entries(2, 2, 12, task=task, shuffle=False)
    write_emi(tmp_path, entries, test_table=True) if task is EMI else write_muse(tmp_path, entries, task=task)
    table = load_clips(tmp_path)
    predictions = pd.DataFrame(0.25, index=[clip.id for clip in table.split("test")], columns=list(task.labels))
    lines = write_submission(predictions, table, tmp_path / "out").read_text().splitlines()
    assert lines[0] == ",".join((str(task.id_column), *task.labels))
    assert [line.split(",")[0] for line in lines[1:]] == [entry.id for entry in entries if entry.split == "test"]


def test_emi_may_be_a_text_file(tmp_path):
    table = make_table(EMI, ["12660", "12661"])
    predictions = pd.DataFrame(make_rows(table)[1:], columns=["id", *EMI.labels]).set_index("id").astype(float)
    path = write_submission(predictions, table, tmp_path, filename="EMI_yap_1.txt")
    assert validate_submission(path, table) == []
    assert submission_name("EMI", "yap", 1) == "EMI_yap_1.csv"


def spoil(rows: Rows, way: str) -> Rows:
    if way == "brackets":
        rows[1][0] = f"[{rows[1][0]}]"
    elif way == "quotes inside":
        rows[1][0] = f'"""{rows[1][0]}"""'
    elif way == "id column of ERI":
        rows[0][0] = "File_ID"
    elif way == "label in another case":
        rows[0][1] = rows[0][1].swapcase()
    elif way == "swapped labels":
        rows[0][1:3] = reversed(rows[0][1:3])
    elif way == "lost row":
        rows.pop()
    elif way == "row twice":
        rows.insert(1, rows[1])
    elif way == "upside down":
        rows[1:] = reversed(rows[1:])
    elif way == "out of range":
        rows[1][1] = "1.01"
    elif way == "not a number":
        rows[1][1] = "nan"
    return rows


@TASKS
@pytest.mark.parametrize(
    ("way", "code"),
    [
        ("brackets", Code.ID_BRACKETS),
        ("quotes inside", Code.ID_FORM),
        ("id column of ERI", Code.COLUMN_NAME),
        ("label in another case", Code.COLUMN_NAME),
        ("swapped labels", Code.COLUMN_ORDER),
        ("lost row", Code.ID_MISSING),
        ("row twice", Code.ID_DUPLICATE),
        ("upside down", Code.UNSORTED),
        ("out of range", Code.VALUE_RANGE),
        ("not a number", Code.VALUE_NOT_FINITE),
    ],
)
@few
@given(data=st.data())
def test_a_spoilt_file_is_found_out(tmp_path, task, way, code, data):
    table = make_table(task, data.draw(st.lists(IDS[task.name], min_size=3, max_size=6, unique=True)))
    file = tmp_path / "predictions.csv"
    file.write_bytes(join(make_rows(table)))
    assert validate_submission(file, table) == []
    file.write_bytes(join(spoil(make_rows(table), way)))
    assert code in {found.code for found in validate_submission(file, table)}


def test_the_hyphen_of_eri_is_not_the_space_of_emi(tmp_path):
    table = make_table(EMI, ["12660", "12661"])
    rows = make_rows(table)
    rows[0][4] = "Empathic-Pain"
    file = tmp_path / "predictions.csv"
    file.write_bytes(join(rows))
    (finding,) = validate_submission(file, table)
    assert "'Empathic-Pain' must be named exactly 'Empathic Pain'" in finding.message


def test_an_id_of_emi_without_its_zeros_is_shown_how_to_write_it(tmp_path):
    table = make_table(EMI, ["00042", "12661"])
    rows = make_rows(table)
    rows[1][0] = "42"
    file = tmp_path / "predictions.csv"
    file.write_bytes(join(rows))
    (finding,) = validate_submission(file, table)
    assert (finding.code, finding.line) == (Code.ID_FORM, 2)
    assert "must be written 00042" in finding.message


def test_numbers_stand_in_the_order_of_numbers(tmp_path):
    table = make_table(PERCEPTION, ["9", "10", "100"])
    rows = make_rows(table)
    assert [row[0] for row in rows[1:]] == ["9", "10", "100"]
    rows[1:] = [rows[2], rows[3], rows[1]]  # as text: 10, 100, 9
    file = tmp_path / "predictions.csv"
    file.write_bytes(join(rows))
    (finding,) = validate_submission(file, table)
    assert (finding.code, finding.line) == (Code.UNSORTED, 4)
