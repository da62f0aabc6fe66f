"""Guesses at misspelt names."""

from eri.utils.spelling import closest, did_you_mean


def test_near_misses_are_found_whatever_their_case_and_separators() -> None:
    assert closest("ANXEITY", ["Fear", "Anxiety"]) == "Anxiety"
    assert closest("file id", ["File_ID", "Split"]) == "File_ID"
    assert closest("file-id", iter(["FILE_ID", "File_ID"])) == "FILE_ID"


def test_a_guess_is_made_only_where_a_name_is_like_it() -> None:
    assert did_you_mean("learning_rat", ["epochs", "learning_rate"]) == " (did you mean 'learning_rate'?)"
    assert did_you_mean("learning_rat", []) == ""
