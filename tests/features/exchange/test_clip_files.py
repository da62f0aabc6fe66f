"""Importing pickled arrays: EMI's layout, what counts as rows of features, and that nothing is ever run."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from eri.config import ImportedConfig
from eri.config.tasks import EMI
from eri.data import load_clips
from eri.features.exchange.importing import import_features
from eri.utils.errors import DataError
from tests.factories.challenge import make_entries, write_emi
from tests.factories.organisers import stored, visible, write_pickles


def save(path: Path, value: object) -> None:
    path.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("folders", [(".",), (".", "test_data")])
def test_emis_arrays_come_with_those_of_the_test_clips(tmp_path, folders):
    entries = make_entries(3, 2, 2, task=EMI)
    generator = np.random.default_rng(0)
    values = {entry.id: generator.normal(size=(4, 384)).astype(np.float32) for entry in entries}
    write_emi(
        tmp_path / "data",
        entries,
        test_table=True,
        features={"vit": lambda path, entry: save(path, values[entry.id])},
    )
    table = load_clips(tmp_path / "data")
    if folders == (".",):
        report = import_features(table, tmp_path / "data" / "vit", tmp_path / "features")
        assert (report.added, report.absent) == (5, 2)
    report = import_features(table, tmp_path / "data", tmp_path / "features", name="vit")
    assert (report.modality, report.dimension, report.absent) == ("visual", 384, 0)
    assert report.added == (7 if len(folders) == 2 else 2), "the test clips are added to the same folder"
    found = stored(tmp_path / "features", ImportedConfig(name="vit", modality="visual"))
    for clip_id, expected in values.items():
        np.testing.assert_array_equal(found.read(clip_id).embeddings, expected)


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(6, dtype=np.float64).reshape(1, 2, 3),
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.arange(6, dtype=np.float16).reshape(2, 3, order="C"),
        [[0.0, 1.0, 2.0], [3, 4, 5]],
        [np.arange(3.0), np.arange(3.0) + 3],
        ((0, 1, 2), (3, 4, 5)),
    ],
    ids=range(7),
)
def test_arrays_and_lists_of_rows_come_in(tmp_path, table, value):
    folder = write_pickles(tmp_path / "wav2vec2", {"00000": value})
    report = import_features(table, folder, tmp_path / "features", hop=0.02)
    assert (report.modality, report.times) == ("audio", "rows of 0.02 s")
    found = stored(tmp_path / "features", ImportedConfig(name="wav2vec2", modality="audio"))
    assert found.read("00000").embeddings.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found.read("00000").times.tolist() == [0.0, 0.02]


@pytest.mark.parametrize("value", [np.arange(3.0), [1.0, 2.0, 3.0]], ids=["array", "list"])
def test_a_single_row_is_a_row(tmp_path, table, value):
    import_features(table, write_pickles(tmp_path / "vit", {"00000": value}), tmp_path / "features")
    found = stored(tmp_path / "features", ImportedConfig(name="vit", modality="visual"))
    assert found.read("00000").embeddings.shape == (1, 3)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (np.zeros((2, 4), np.float32), "clip 00001 has 4 features, clip 00000 has 3"),
        (np.zeros((2, 2, 3), np.float32), "array of shape (2, 2, 3)"),
        (np.zeros((0, 3), np.float32), "clip 00001 has no rows"),
        (np.float64(1), "holds a float"),
        (np.array([[True]]), "type bool"),
        (np.array([[1.0, np.nan, 0]]), "row 1: 1 has no number"),
        (np.array([[1.0, np.inf, 0]]), "row 1: 1 is inf"),
        ([[1.0, 2.0, 3.0], [1.0, 2.0]], "row 2: has 2 numbers, the first row has 3"),
        ([[1.0], "text"], "row 2: is a str"),
        ([[1.0], [np.zeros(2)]], "row 2: is a list"),
        ([[[1.0] * 100_000] * 2] * 2, "not a row of numbers"),
        ([[1.0] * 100_000] * 100_000, "more than any clip has"),
        ([], "an empty list"),
        ({"a": 1}, "holds a dict"),
        (os.getcwd, "refers to 'posix.getcwd'"),
    ],
    ids=range(15),
)
def test_bad_arrays_are_refused_by_name_and_nothing_is_kept(tmp_path, table, value, part):
    folder = write_pickles(tmp_path / "vit", {"00000": np.zeros((2, 3), np.float32), "00001": value})
    with pytest.raises(DataError, match=r"00001\.pkl") as caught:
        import_features(table, folder, tmp_path / "features")
    assert part in str(caught.value)
    assert visible(tmp_path / "features") == []


def test_a_hop_must_be_a_time(tmp_path, table):
    folder = write_pickles(tmp_path / "vit", {"00000": np.zeros((2, 3))})
    with pytest.raises(DataError, match="hop is 0"):
        import_features(table, folder, tmp_path / "features", hop=0)
