"""Parquet tables of features: how ids and times are found, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from eri.features.exchange.importing import import_features
from eri.features.store import find_folder
from eri.utils.errors import DataError
from tests.factories.organisers import FAUS


def make_frame() -> pd.DataFrame:
    ids = ["00000", "00000", "00002", "00002", "00002"]
    frame = pd.DataFrame({"clip_id": ids, "timestamp": [0, 500, 0, 500, 1000], "a": [1, 2, 3, 4, 5]})
    return frame.assign(b=frame["a"] / 8)


@pytest.fixture
def take(tmp_path, table):
    """Write a frame as a table, import it, and return the folder; None where nothing was kept."""

    def write(frame: pd.DataFrame, **options):
        frame.to_parquet(tmp_path / "FAUs.parquet", index=False)
        import_features(table, tmp_path / "FAUs.parquet", tmp_path / "features", **options)
        return find_folder(tmp_path / "features", FAUS)

    return write


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame,
        lambda frame: frame.rename(columns={"clip_id": "File_ID"}),
        lambda frame: frame.rename(columns={"clip_id": "ID", "timestamp": "Time"}),
        lambda frame: frame.assign(clip_id=frame["clip_id"].astype(int)),
        lambda frame: frame.assign(clip_id="[" + frame["clip_id"] + "]"),
        lambda frame: frame.assign(clip_id=frame["clip_id"].astype("category")),
        lambda frame: frame.assign(timestamp=frame["timestamp"] / 1000),
        lambda frame: frame[["b", "a", "timestamp", "clip_id"]][["a", "b", "clip_id", "timestamp"]],
        lambda frame: pd.concat([frame[2:], frame[:2]]),
        lambda frame: frame.astype({"a": "float32", "b": "float32"}),
    ],
    ids=range(10),
)
def test_ids_and_times_are_found_in_many_guises(take, change):
    folder = take(change(make_frame()))
    assert folder.read("00000").embeddings.tolist() == [[1, 0.125], [2, 0.25]]
    assert folder.read("00002").times.tolist() == [0, 0.5, 1]
    assert sorted(folder.entries(["00000", "00001", "00002"])) == ["00000", "00002"]


def test_columns_can_be_named(take):
    frame = make_frame().rename(columns={"clip_id": "who", "timestamp": "when"})
    folder = take(frame, id_column="who", time_column="when")
    assert folder.read("00000").times.tolist() == [0, 0.5]


def test_without_times_rows_are_numbered(take):
    assert take(make_frame().drop(columns="timestamp"), hop=0.25).read("00002").times.tolist() == [0, 0.25, 0.5]


def test_nulls_are_missing_numbers(take):
    frame = make_frame()
    frame.loc[3, "b"] = None
    with pytest.raises(DataError, match=r"FAUs\.parquet, row 4: b has no number \(clip 00002, 1 of its 3 rows\)"):
        take(frame)
    assert take(frame, missing="mask").read("00002").mask.tolist() == [True, False, True]


def test_a_table_that_grew_adds_its_new_clips(take, tmp_path):
    first = take(make_frame()[:2])
    second = take(make_frame())
    assert first.path == second.path
    assert sorted(second.entries(["00000", "00002"])) == ["00000", "00002"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda frame: frame.drop(columns="clip_id"), {}, "no column of clip ids; looked for clip_id, id, File_ID"),
        (lambda frame: frame, {"id_column": "who"}, "no column of clip ids; looked for who"),
        (lambda frame: frame, {"time_column": "when"}, "no column 'when' of times"),
        (lambda frame: frame.assign(clip_id=[*frame["clip_id"][:4], None]), {}, r"row 5: the id \(clip_id\) is empty"),
        (lambda frame: frame.assign(clip_id="../x"), {}, r"row 1: id '\.\./x' is not a number"),
        (lambda frame: frame.assign(clip_id="00009"), {}, r"1 id\(s\) of no clip of hume-reaction: 00009"),
        (lambda frame: frame.iloc[[0, 2, 1, 3, 4]], {}, "row 3: the rows of clip 00000 are not together"),
        (lambda frame: frame.iloc[[1, 0, 2, 3, 4]], {}, "row 2: the time of clip 00000 goes back"),
        (lambda frame: frame.assign(c="text"), {}, "column 'c' is of type (large_)?string, not of numbers"),
        (lambda frame: frame.assign(timestamp="now"), {}, "column 'timestamp' is of type"),
        (lambda frame: frame[["clip_id", "timestamp"]], {}, "no column of features"),
        (lambda frame: frame[:0], {}, "has no rows"),
        (lambda frame: frame.assign(a=np.inf), {}, "row 1: a is inf"),
    ],
    ids=range(13),
)
def test_bad_tables_are_refused_and_nothing_is_kept(take, tmp_path, change, options, message):
    with pytest.raises(DataError, match=message) as caught:
        take(change(make_frame()), **options)
    assert caught.value.hint
    assert not list((tmp_path / "features").glob("[!.]*"))


def test_a_file_that_is_no_table_is_refused(tmp_path, table):
    path = tmp_path / "FAUs.parquet"
    path.write_bytes(b"PAR1 is how it begins, and no more")
    with pytest.raises(DataError, match=r"FAUs\.parquet: cannot be read as Parquet"):
        import_features(table, path, tmp_path / "features")


def test_columns_of_a_folder_cannot_be_named(tmp_path, table):
    with pytest.raises(DataError, match="a Parquet table only"):
        import_features(table, tmp_path, tmp_path / "features", id_column="who")
