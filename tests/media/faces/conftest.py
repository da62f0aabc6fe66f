"""Checkpoints that several test modules read."""

from __future__ import annotations

from pathlib import Path

import pytest

Checkpoints = dict[str, Path]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    """Return a checkpoint of RetinaFace with random weights for each backbone."""
    from tests.media.faces.checkpoints import save_random

    folder = tmp_path_factory.mktemp("retinaface")
    return {
        "resnet50": save_random("resnet50", folder / "resnet50.pth"),
        "mobilenet0.25": save_random("mobilenet0.25", folder / "mobilenet0.25.pth"),
    }
