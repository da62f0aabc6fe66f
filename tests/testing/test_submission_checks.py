"""The checks of a submission format let pass what keeps its promises, and name the one that is broken."""

from __future__ import annotations

from typing import Any

import pytest

import eri
from eri.testing import CheckError, check_submission
from eri.utils.errors import SubmissionError


def rules(table: Any, **changes: Any) -> eri.SubmissionFormat:
    given: dict[str, Any] = {"id_column": "clip", "labels": tuple(sorted(table.task.labels)), "low": 0.0, "high": 1.0}
    return eri.SubmissionFormat(**(given | changes), bracketed=False, digits=None)


def test_ours_and_one_of_a_plugin_pass() -> None:
    eri.register_submission("mine")(rules)
    check_submission("challenge")
    check_submission("mine")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ("Adoration", "Adoration")}, "columns that cannot be told apart"),
        ({"high": 0.0}, "no range of legal values"),
        ({"labels": 3}, "fails: TypeError"),
    ],
)
def test_a_broken_promise_is_named(changes, message: str) -> None:
    eri.register_submission("mine")(lambda table: rules(table, **changes))
    with pytest.raises(CheckError, match=f"the submission format 'mine' of {__name__} .*{message}"):
        check_submission("mine")


def test_what_is_not_registered_is_named() -> None:
    with pytest.raises(SubmissionError, match="no submission format is named 'chalenge'"):
        check_submission("chalenge")
