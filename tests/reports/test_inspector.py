"""t-SNE pictures: neighbours stay together, and files are whole."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from eri.reports.inspector import draw_projection, project
from eri.utils.errors import DataError

CLASSES = [name for name in ("anger", "fear", "joy") for _ in range(12)]


def embeddings() -> np.ndarray:
    generator = np.random.default_rng(0)
    centres = np.repeat(10 * generator.normal(size=(3, 8)), 12, axis=0)
    return np.concatenate([centres + generator.normal(size=(36, 8)), np.ones((36, 1))], axis=1)


def test_classes_that_are_apart_stay_apart():
    points = project(embeddings())
    assert points.shape == (36, 2)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = np.asarray(CLASSES)[distances.argmin(axis=1)]
    assert (nearest == CLASSES).mean() > 0.95
    np.testing.assert_array_equal(points, project(embeddings()))


def test_what_cannot_be_projected():
    with pytest.raises(DataError, match="4 clips or more"):
        project(np.zeros((3, 2)))
    with pytest.raises(DataError, match="not finite"):
        project(np.full((5, 2), np.nan))
    assert (project(np.ones((5, 2))) == 0).all()
    assert project(np.arange(5.0)[:, None]).shape == (5, 2)


def test_panels_are_drawn_side_by_side(tmp_path):
    points = np.random.default_rng(0).normal(size=(36, 2))
    one = draw_projection(tmp_path / "one.png", {"CEFLNet": points}, CLASSES)
    two = draw_projection(tmp_path / "two.png", {"CEFLNet": points, "ResNet-18": points}, CLASSES)
    widths = [Image.open(path).width for path in (one, two)]
    assert widths[1] > 1.5 * widths[0]
    colours = {tuple(pixel) for pixel in np.asarray(Image.open(one).convert("RGB")).reshape(-1, 3)[::7]}
    assert len(colours) > 20
