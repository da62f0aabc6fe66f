"""Parquet tables, and the rest of reading tables that the adapters' tests do not reach."""

import pandas as pd
import pytest

from eri.data.tables import read_table
from eri.utils.errors import DataError


def test_parquet_cells_become_text_and_missing_values_empty(tmp_path):
    path = tmp_path / "t.PARQUET"
    frame = pd.DataFrame({"id": [1, 2], "x": [0.1, float("nan")], "s": ["a ", None]})
    frame["n"] = pd.array([5, None], dtype="Int64")
    frame.to_parquet(path)
    table = read_table(path)
    assert table.columns == ("id", "x", "s", "n")
    assert table.rows == [["1", "0.1", "a", "5"], ["2", "", "", ""]]
    assert (table.lines, table.unit) == ([1, 2], "row")


@pytest.mark.parametrize("data", [b"not parquet", b"PAR1" * 5])
def test_a_broken_parquet_file_is_named(tmp_path, data):
    path = tmp_path / "t.parquet"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"t\.parquet: cannot be read as Parquet"):
        read_table(path)


def test_a_parquet_file_under_another_name_is_told_its_suffix(tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame({"id": [1]}).to_parquet(path)
    with pytest.raises(DataError, match=r"not a text file\n.*suffix \.parquet"):
        read_table(path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_missing_files_and_folders_are_named(tmp_path, suffix):
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / f"gone{suffix}")
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path / f"folder{suffix}")


def test_a_cell_beyond_all_measure_is_an_error_with_its_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,x\n1,2\n1," + "9" * 200_000 + "\n")
    with pytest.raises(DataError, match=r"t\.csv, line 3: field larger"):
        read_table(path)
