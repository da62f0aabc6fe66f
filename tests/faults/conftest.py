"""Fixtures of the tests that break extractions for real."""

from pathlib import Path

import pytest

from tests.factories.disturbing import Scene


@pytest.fixture(autouse=True)
def apart(temporary: Path) -> None:
    """Keep what a test leaves in its temporary folder from the others."""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A data set of 24 clips."""
    return Scene(tmp_path / "scene")
