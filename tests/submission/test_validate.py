"""The validator: silent about every valid file, and exact about every spoilt one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eri.config.tasks import ERI, Task
from eri.data import Clip, ClipTable
from eri.submission import Code, validate_submission
from eri.submission.validate import LISTED
from eri.utils.errors import SubmissionError
from tests.submission.mutations import MUTATIONS, TRAIN_ID, Rows, join

few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def make_table(test_ids: list[str]) -> ClipTable:
    clips = [Clip(clip_id, "test") for clip_id in sorted(test_ids)] + [Clip(TRAIN_ID[1:-1], "train", labels=(0.5,) * 7)]
    return ClipTable("hume-reaction", Path("data"), ERI, tuple(clips), "File_ID")


def make_rows(test_ids: list[str], seed: int) -> Rows:
    values = np.random.default_rng(seed).uniform(0.01, 0.99, (len(test_ids), 7))
    header = ["File_ID", *ERI.labels]
    return [
        header,
        *([f"[{name}]", *(f"{x:.9f}" for x in row)] for name, row in zip(sorted(test_ids), values, strict=True)),
    ]


# Ids with five digits that do not begin with 0, so that a lost digit shows.
id_lists = st.lists(st.integers(10_000, 99_990).map(str), min_size=3, max_size=12, unique=True)


@pytest.fixture
def validate(tmp_path):
    def write_and_validate(data: bytes, table: ClipTable, **options):
        file = tmp_path / "predictions.csv"
        file.write_bytes(data)
        return validate_submission(file, table, **options)

    return write_and_validate


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
@few
@given(ids=id_lists, seed=st.integers(0, 99), row=st.integers(1, 12))
def test_every_single_mutation_is_found_with_its_code_and_line(validate, mutation, ids, seed, row):
    rows = make_rows(ids, seed)
    assert validate(join(rows), make_table(ids)) == []
    data, line = mutation.spoil(rows, min(row, len(ids)))
    findings = validate(data, make_table(ids))
    assert (mutation.code, line, mutation.severity) in [(found.code, found.line, found.severity) for found in findings]
    assert all(found.message for found in findings)
    if not mutation.elsewhere:
        assert {found.line for found in findings} <= {line, None}, "no finding on a line that is right"


def test_every_code_has_a_mutation():
    assert {mutation.code for mutation in MUTATIONS} | {Code.UNREADABLE} == set(Code)


def test_all_findings_come_at_once_in_the_order_of_the_file(validate):
    ids = ["00001", "00002", "00003", "00004"]
    rows = make_rows(ids, 0)
    rows[0][5] = "Empathic Pain"
    rows[1][1] = "nan"
    rows[1][2] = "2"
    rows[2][0] = "00002"
    rows[3] = ["[00099]", *rows[3][1:]]
    findings = validate(join(rows, end="\r\n"), make_table(ids))
    assert [(found.line, found.code) for found in findings] == [
        (None, Code.ID_MISSING),
        (1, Code.LINE_ENDS),
        (1, Code.COLUMN_NAME),
        (2, Code.VALUE_NOT_FINITE),
        (2, Code.VALUE_RANGE),
        (3, Code.ID_BRACKETS),
        (4, Code.ID_UNKNOWN),
        (5, Code.UNSORTED),
    ]
    assert "1 clip of the test split without a row: 00003" in findings[0].message
    assert "'Empathic Pain' must be named exactly 'Empathic-Pain'" in findings[2].message


def test_without_brackets_is_an_option(validate):
    ids = ["00001", "00002"]
    bare = [[cells[0].strip("[]"), *cells[1:]] for cells in make_rows(ids, 0)]
    assert validate(join(bare), make_table(ids), bracketed=False) == []
    assert {found.code for found in validate(join(bare), make_table(ids))} == {Code.ID_BRACKETS}
    assert {found.code for found in validate(join(make_rows(ids, 0)), make_table(ids), bracketed=False)} == {
        Code.ID_BRACKETS
    }


def test_a_missing_file_and_a_folder_are_findings(tmp_path):
    for path in (tmp_path / "gone.csv", tmp_path):
        (finding,) = validate_submission(path, make_table(["00001"]))
        assert (finding.code, finding.line) == (Code.UNREADABLE, None)


def test_other_tasks_have_their_own_columns_ids_and_range(validate):
    clips = (Clip("x_a", "val"), Clip("x_b", "val"), Clip("y", "test"))
    table = ClipTable("mine", Path(), Task("mine", ("joy", "calm"), -1.0, 1.0), clips, "Filename")
    good = b"Filename,joy,calm\nx_a,-1,0.5\nx_b,1,-0.5\n"
    assert validate(good, table, split="val") == []
    assert {found.code for found in validate(good, table)} == {Code.ID_SPLIT, Code.ID_MISSING}
    beyond = validate(good.replace(b"x_b,1", b"x_b,1.5"), table, split="val")
    assert [found.code for found in beyond] == [Code.VALUE_RANGE]


def test_a_data_set_without_test_clips_cannot_validate(validate):
    table = ClipTable("mine", Path(), ERI, (Clip("00001", "train", labels=(0.5,) * 7),))
    with pytest.raises(SubmissionError, match="mine: has no test clips"):
        validate(b"x", table)


def test_one_row_alone_is_no_constant_column(validate):
    assert validate(join(make_rows(["00001"], 0)), make_table(["00001"])) == []


@few
@given(data=st.binary(max_size=2000))
def test_any_bytes_are_validated(validate, data):
    assert validate(data, make_table(["00001", "00002"]))


@few
@given(text=st.text(alphabet='[]0123,;."\t\r\n -naif', max_size=400))
def test_any_text_after_a_right_header_is_validated(validate, text):
    findings = validate(("File_ID," + ",".join(ERI.labels) + "\n" + text).encode(), make_table(["00001", "00002"]))
    assert findings


def test_a_file_of_the_real_size_is_validated_even_where_every_line_is_wrong(validate):
    ids = [f"{number:05d}" for number in range(4_604)]
    table = make_table(ids)
    rows = make_rows(ids, 0)
    assert validate(join(rows), table) == []
    findings = validate(join([rows[0], *([row[0][1:], *["nan"] * 7] for row in reversed(rows[1:]))]), table)
    assert len(findings) > 2 * 4_604


@pytest.mark.slow
def test_a_flood_of_findings_is_counted(validate):
    ids = [f"{number:05d}" for number in range(12_000)]
    rows = make_rows(ids, 0)
    findings = validate(join([rows[0], *([row[0], *["nan"] * 7] for row in rows[1:])]), make_table(ids))
    assert len(findings) == LISTED + 1
    assert "2000 more findings" in findings[0].message
