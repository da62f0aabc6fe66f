"""Fixtures of the tests that break extractions for real."""

import tempfile
from pathlib import Path

import pytest

from tests.factories.disturbing import Scene


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give this test and its processes a temporary folder of their own."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A data set of 24 clips."""
    return Scene(tmp_path / "scene")
