"""The face: warps that never fold, a mouth and lids that open and close, and an outline that moves along."""

from __future__ import annotations

import numpy as np
import pytest

from eri.synthetic.face import SMOOTH_UNITS, UNITS, Face, load_portrait, smooth_field
from eri.synthetic.subjects import move, perform


@pytest.fixture(scope="module")
def face():
    portrait = load_portrait()
    person = portrait.person[..., None]
    return Face(np.concatenate([portrait.image * person, person], axis=2))


def amplitudes(**units: float) -> np.ndarray:
    names = [name.split()[0] for name in UNITS]
    assert set(units) <= set(names)
    return np.array([units.get(name, 0.0) for name in names], dtype=np.float32)


def smallest_area(field: np.ndarray) -> float:
    """Return the smallest factor by which the warp scales an area; a fold makes it negative."""
    down, across = np.gradient(field, axis=(0, 1))
    return float(((1 - across[..., 0]) * (1 - down[..., 1]) - across[..., 1] * down[..., 0]).min())


@pytest.mark.parametrize("seed", range(8))
def test_no_expression_of_a_performance_folds_the_skin(seed):
    random = np.random.default_rng(seed)
    performance = perform(random, 1.15, 2.8)
    for units in move(performance, np.linspace(0, performance.duration, 15)).units:
        assert smallest_area(smooth_field(units[: len(SMOOTH_UNITS)])) > 0


@pytest.mark.parametrize("unit", [name.split()[0] for name in UNITS])
def test_every_unit_moves_the_face_and_leaves_the_shoulders(face, unit):
    rest, moved = face.render(amplitudes()), face.render(amplitudes(**{unit: 1.0}))
    change = np.abs(moved - rest).max(axis=2)
    assert change.max() > 20
    assert change[-30:].max() == 0
    assert np.isfinite(moved).all()


def test_a_dropped_jaw_shows_the_dark_of_the_mouth(face):
    dark = [
        int((face.render(amplitudes(AU26=drop))[..., :3].sum(axis=2) < 150)[180:260, 190:260].sum())
        for drop in (0.0, 0.5, 1.0)
    ]
    assert dark[0] < dark[1] < dark[2]


def test_the_outline_moves_with_the_face(face):
    turned = face.render(amplitudes(yaw=1.0))
    assert np.abs(turned[..., 3] - face.render(amplitudes())[..., 3]).max() > 0.2
    covered = turned[..., 3] > 0.99
    assert turned[..., :3][covered].max() <= 256
