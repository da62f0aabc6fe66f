"""The writer: what it writes is valid, round-trips, and says where it came from; what it cannot write it refuses."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eri.config.tasks import ERI, Task
from eri.data import Clip, ClipTable, load_clips
from eri.submission import Code, submission_name, validate_submission, write_submission
from eri.utils.errors import SubmissionError
from eri.utils.files import sha256_file
from tests.factories.challenge import make_entries, write_abaw5

HEADER = "File_ID,Adoration,Amusement,Anxiety,Disgust,Empathic-Pain,Fear,Surprise"


@pytest.fixture
def table(tmp_path: Path) -> ClipTable:
    return load_clips(write_abaw5(tmp_path / "data", make_entries(4, 3, 5, shuffle=False)))


def predict(table: ClipTable, seed: int = 0) -> pd.DataFrame:
    ids = [clip.id for clip in table.split("test")]
    values = np.random.default_rng(seed).uniform(0, 1, (len(ids), len(table.task.labels)))
    return pd.DataFrame(values, index=ids, columns=list(table.task.labels))


def read_manifest(folder: Path) -> dict[str, object]:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert isinstance(manifest, dict)
    return manifest


def test_the_eri_file_is_exactly_as_the_organisers_ask(table, tmp_path):
    predictions = predict(table).sample(frac=1, random_state=1)[list(reversed(ERI.labels))].assign(extra="x")
    path = write_submission(predictions, table, tmp_path / "out")
    data = path.read_bytes()
    assert path == tmp_path / "out" / "predictions.csv"
    assert not data.startswith(b"\xef\xbb\xbf")
    assert b"\r" not in data
    lines = data.decode("utf-8").split("\n")
    assert lines[0] == HEADER
    assert lines[-1] == ""
    ids = [clip.id for clip in table.split("test")]
    assert [line.split(",")[0] for line in lines[1:-1]] == [f"[{clip_id}]" for clip_id in sorted(ids)]
    assert all(len(cell) == 11 for line in lines[1:-1] for cell in line.split(",")[1:])
    assert validate_submission(path, table) == []


def test_the_manifest_says_where_the_file_came_from(table, tmp_path):
    run = tmp_path / "runs" / "visual-1"
    run.mkdir(parents=True)
    for name in ("config.yaml", "environment.json", "best.safetensors", "last.pt", "history.csv"):
        (run / name).write_text(name)
    clips = table.split("test")
    predictions = predict(table)
    predictions["rule"] = pd.Series([None, "mean of train", "", np.nan, None], index=predictions.index, dtype=object)
    path = write_submission(predictions, table, tmp_path / "out", run=run)
    manifest = read_manifest(tmp_path / "out")
    created = datetime.fromisoformat(str(manifest.pop("created")))
    assert created.utcoffset() == timedelta(0)
    assert abs((datetime.now(created.tzinfo) - created).total_seconds()) < 60
    version = manifest.pop("eri_version")
    assert isinstance(version, str)
    assert manifest == {
        "file": "predictions.csv",
        "sha256": sha256_file(path),
        "run": "visual-1",
        "config_sha256": sha256_file(run / "config.yaml"),
        "checksums": {
            name: sha256_file(run / name) for name in ("best.safetensors", "config.yaml", "environment.json")
        },
        "data_set": "hume-reaction",
        "data_fingerprint": table.fingerprint,
        "task": "eri",
        "split": "test",
        "columns": HEADER.split(","),
        "rows": 5,
        "filled_by_rule": {clips[1].id: "mean of train"},
        "clipped": {"range": "[0, 1]", "values": 0, "largest_excess": 0.0},
        "findings": [],
    }


def test_values_out_of_range_are_clipped_and_counted(table, tmp_path):
    predictions = predict(table)
    predictions.iloc[0, 0], predictions.iloc[1, 1] = 1.25, -0.5
    path = write_submission(predictions, table, tmp_path / "out")
    assert validate_submission(path, table) == []
    clipped = read_manifest(tmp_path / "out")["clipped"]
    assert clipped == {"range": "[0, 1]", "values": 2, "largest_excess": 0.5}


def test_a_constant_column_is_written_and_is_among_the_findings(table, tmp_path):
    write_submission(predict(table).assign(Fear=0.5), table, tmp_path / "out")
    findings = read_manifest(tmp_path / "out")["findings"]
    assert isinstance(findings, list)
    assert [(found["code"], found["line"]) for found in findings] == [(Code.CONSTANT_COLUMN, None)]


def test_brackets_and_file_name_and_split_are_options(table, tmp_path):
    name = submission_name("ERI", "yap_csm", 3)
    assert name == "ERI_yap_csm_3.csv"
    path = write_submission(predict(table), table, tmp_path / "out", filename=name, bracketed=False)
    assert path.name == name
    assert "[" not in path.read_text()
    assert validate_submission(path, table, bracketed=False) == []
    val = pd.DataFrame(table.label_matrix([clip.id for clip in table.split("val")]), columns=list(ERI.labels))
    val.index = pd.Index([clip.id for clip in table.split("val")])
    path = write_submission(val, table, tmp_path / "val", split="val")
    assert validate_submission(path, table, split="val") == []


def test_other_tasks_are_written_with_their_own_columns_and_ids(tmp_path):
    clips = (Clip("x_a", "test"), Clip("x_b", "test"))
    table = ClipTable("mine", tmp_path, Task("mine", ("joy", "calm"), -1.0, 1.0, "linear"), clips, "Filename")
    predictions = pd.DataFrame({"calm": [0.25, -1e-12], "joy": [-2.0, 2.0]}, index=["x_b", "x_a"])
    path = write_submission(predictions, table, tmp_path / "out")
    assert path.read_text() == ("Filename,joy,calm\nx_a,1.000000000,0.000000000\nx_b,-1.000000000,0.250000000\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda frame: frame.iloc[1:], "1 clip of the test split without predictions: 0"),
        (lambda frame: pd.concat([frame, frame.iloc[:1]]), "predictions hold duplicate rows of 1 clip: 0"),
        (lambda frame: frame.rename(index={frame.index[0]: "99999"}), "without predictions"),
        (
            lambda frame: pd.concat([frame, frame.iloc[:1].set_axis(["99999"])]),
            "1 clip not in the data set: 99999",
        ),
        (lambda frame: pd.concat([frame, frame.iloc[:1].set_axis(["00000"])]), "1 clip of other splits: 00000"),
        (lambda frame: frame.rename(columns={"Empathic-Pain": "Empathic Pain"}), "Did you mean 'Empathic Pain'"),
        (lambda frame: frame.drop(columns=["Fear", "Surprise"]), "no column 'Fear', 'Surprise'"),
        (lambda frame: frame.mask(frame == frame.iloc[0, 0]), "predictions of 1 clip are not finite"),
        (lambda frame: frame.assign(Fear=np.inf), "predictions of 5 clips are not finite"),
        (lambda frame: frame.assign(Fear="high"), "something that is not a number"),
        (lambda frame: frame.reset_index(drop=True), "5 clips of the test split without predictions"),
    ],
)
def test_predictions_that_do_not_fit_are_refused_and_nothing_is_written(table, tmp_path, spoil, message):
    with pytest.raises(SubmissionError, match=message):
        write_submission(spoil(predict(table)), table, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_are_there_stay_unless_overwriting_is_allowed(table, tmp_path):
    path = write_submission(predict(table), table, tmp_path / "out")
    before = path.read_bytes()
    with pytest.raises(SubmissionError, match=r"predictions\.csv: is already there"):
        write_submission(predict(table, 1), table, tmp_path / "out")
    with pytest.raises(SubmissionError, match=r"manifest\.json: is already there"):
        write_submission(predict(table, 1), table, tmp_path / "out", filename="other.csv")
    assert path.read_bytes() == before
    write_submission(predict(table, 1), table, tmp_path / "out", overwrite=True)
    assert path.read_bytes() != before
    assert read_manifest(tmp_path / "out")["sha256"] == sha256_file(path)
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["manifest.json", "predictions.csv"]


def test_ids_that_the_format_cannot_hold_are_refused(tmp_path):
    table = ClipTable("mine", tmp_path, ERI, (Clip("a", "test"), Clip("b", "test")))
    with pytest.raises(
        SubmissionError, match=r"would not be accepted[\s\S]*'\[a\]' is not an id; write ids like \[00042\]"
    ):
        write_submission(predict(table), table, tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", ["", "a/b.csv", "../x.csv", "predictions", ".csv", "a b.csv", "x.xlsx"])
def test_names_that_are_no_plain_csv_are_refused(table, tmp_path, name):
    with pytest.raises(SubmissionError, match="not a name for a submission"):
        write_submission(predict(table), table, tmp_path / "out", filename=name)


@pytest.mark.parametrize("parts", [("", "team", 1), ("ERI", "my team", 1), ("ERI", "../x", 1), ("ERI", "team", 0)])
def test_parts_that_do_not_fit_a_file_name_are_refused(parts):
    with pytest.raises(SubmissionError):
        submission_name(*parts)


def test_a_folder_that_cannot_be_made_is_named(table, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SubmissionError, match="out/deeper: cannot be written"):
        write_submission(predict(table), table, tmp_path / "out" / "deeper")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(st.integers(0, 99_999).map(lambda number: f"{number:05d}"), min_size=2, max_size=20, unique=True),
    values=arrays(np.float64, (20, 7), elements=st.floats(-0.5, 1.5))
    | arrays(np.float32, (20, 7), elements=st.floats(0, 1, width=32)),
)
def test_whatever_is_written_is_valid_and_comes_back(tmp_path, ids, values):
    table = ClipTable("hume-reaction", tmp_path, ERI, tuple(Clip(name, "test") for name in sorted(ids)), "File_ID")
    predictions = pd.DataFrame(values[: len(ids)], index=ids, columns=list(ERI.labels))
    path = write_submission(predictions, table, tmp_path / "out", overwrite=True)
    back = pd.read_csv(path, index_col="File_ID")
    assert list(back.columns) == list(ERI.labels)
    expected = predictions.clip(0, 1).loc[sorted(ids)]
    np.testing.assert_allclose(back.to_numpy(), expected.to_numpy(dtype=np.float64), rtol=0, atol=5.1e-10)
    constant = [label for label in ERI.labels if (back[label] == back[label].iloc[0]).all()]
    findings = validate_submission(path, table)
    assert {found.code for found in findings} <= {Code.CONSTANT_COLUMN}
    assert len(findings) == len(constant)
