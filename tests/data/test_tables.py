"""Parquet tables, and the rest of reading tables that the adapters' tests do not reach."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eri.data.tables import decode, guess_separator, parse_number, read_table
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


TEXT = "File_ID,Split\n[00000],Train\n"


@pytest.mark.parametrize(
    ("data", "encoding", "text"),
    [
        (TEXT.encode(), "utf-8", TEXT),
        (TEXT.encode("utf-8-sig"), "utf-8-bom", TEXT),
        (TEXT.encode("utf-16"), "utf-16", TEXT),
        (TEXT.encode("utf-16-le"), "utf-16", TEXT),
        (TEXT.encode("utf-16-be"), "utf-16", TEXT),
        ((TEXT + "é").encode("latin-1"), "unknown", TEXT + "é"),
        (b"\x7fELF\0\0\0", "binary", ""),
        (b"", "utf-8", ""),
    ],
)
def test_encodings_are_told_apart(data, encoding, text):
    decoded = decode(data)
    assert (decoded.encoding, decoded.text) == (encoding, text)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_line_of_the_first_foreign_byte_is_known(mark):
    assert decode(mark + b"a\nb\nc\xff\nd\xff\n").line == 3


@given(st.binary(max_size=300))
def test_any_bytes_can_be_decoded(data):
    decoded = decode(data)
    assert (decoded.encoding == "utf-8") <= (decoded.text.encode() == data)


@given(st.floats(allow_nan=False))
def test_numbers_are_read_as_python_reads_them(value):
    assert parse_number(repr(value)) == value


@pytest.mark.parametrize("cell", ["", " 1", "1_000", "0,5", "0x1", "٣", "1e", ".", "--1", "nano", "½"])
def test_text_is_no_number(cell):
    assert parse_number(cell) is None


def test_words_for_no_number_are_recognised():
    assert math.isnan(parse_number("NaN") or 0.0)
    assert parse_number("-Infinity") == -math.inf


def test_separators_are_guessed():
    assert [guess_separator(line) for line in ("a,b;c,d", "a\tb", "a|b|c", "a")] == [",", "\t", "|", ","]
