"""Ids have one form; everything else about rows is tested through the adapters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eri.data.rows import normalise_id
from eri.utils.errors import DataError

safe_ids = st.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9._\-]{0,40}[A-Za-z0-9_\-])?\Z")


@given(st.integers(0, 99_999))
def test_every_spelling_of_a_challenge_id_has_one_form(number):
    expected = f"{number:05d}"
    for spelling in (number, str(number), expected, f"[{expected}]", f" [{number}] ", f"{number}.0", f"[{number}.00]"):
        assert normalise_id(spelling, digits=5) == expected


@given(safe_ids)
def test_other_ids_are_kept_and_normalising_twice_changes_nothing(clip_id):
    assert normalise_id(clip_id) == clip_id
    assert normalise_id(f" [{clip_id}]") == clip_id


@pytest.mark.parametrize(
    "cell", ["", "[]", "1e3", "-1", "42.5", "100000", "a", "²", "1_0", "4 2", "[1", "../1", "0x10"]
)
def test_what_is_no_challenge_id_is_refused(cell):
    with pytest.raises(DataError, match="at most 5 digits"):
        normalise_id(cell, digits=5)


@pytest.mark.parametrize("cell", ["", "a/b", "..", "../a", "a b", "a\\b", ".hidden", "a\nb", "x" * 129, "ends."])
def test_what_cannot_name_a_file_is_refused(cell):
    with pytest.raises(DataError, match="cannot name a feature file"):
        normalise_id(cell)
