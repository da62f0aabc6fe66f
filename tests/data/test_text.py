"""Bytes to text, and cells to numbers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eri.data.text import decode, guess_separator, parse_number

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
