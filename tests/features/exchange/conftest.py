"""Fixtures of the tests of imported features."""

from pathlib import Path

import pytest

from eri.data import ClipTable
from tests.factories.organisers import make_table


@pytest.fixture
def table(tmp_path: Path) -> ClipTable:
    """A data set of six clips without media."""
    return make_table(tmp_path / "data")
