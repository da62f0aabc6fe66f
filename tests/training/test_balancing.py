"""Copies that balance classes: the paper's counts, counts of our own, and the same copies for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from eri.config.training import BalancingConfig, Copies
from eri.training.balancing import Change, lay_out, plan_copies
from eri.utils.errors import ConfigError

CK = {"Anger": 45, "Contempt": 18, "Disgust": 59, "Fear": 25, "Happy": 69, "Sadness": 28, "Surprise": 83}
"""Labelled sequences of CK+ by class."""

PAPER = BalancingConfig.model_validate(
    {
        "copies": {
            "Contempt": {"flip": 1, "rotation": 7, "contrast": 4},
            "Fear": {"flip": 1, "rotation": 4, "contrast": 4},
            "Sadness": {"flip": 1, "rotation": 4, "contrast": 3},
            "Anger": {"flip": 1, "rotation": 2, "contrast": 1},
            "Happy": {"flip": 1, "rotation": 1, "contrast": 1},
            "Disgust": {"flip": 1, "rotation": 1, "contrast": 1},
            "Surprise": {"flip": 1, "rotation": 1, "contrast": 0},
        }
    }
)


def clips(counts: dict[str, int]) -> tuple[list[str], list[str]]:
    classes = [name for name, count in counts.items() for _ in range(count)]
    return [f"S{number:03}" for number in range(len(classes))], classes


@pytest.mark.parametrize("config", [PAPER, BalancingConfig()], ids=["paper", "even"])
def test_ckplus_comes_out_almost_balanced(config):
    ids, classes = clips(CK)
    samples = lay_out(ids, classes, config, seed=0)
    found = {name: sum(classes[sample.position] == name for sample in samples) for name in CK}
    assert max(found.values()) / min(found.values()) < 1.25
    assert max(CK.values()) / min(CK.values()) > 4


@given(counts=st.dictionaries(st.sampled_from(list(CK)), st.integers(1, 400), min_size=1), base=st.integers(1, 6))
def test_even_counts_bring_every_class_near_the_largest(counts, base):
    _, classes = clips(counts)
    plan = plan_copies(classes, BalancingConfig(base=base))
    most = max(counts.values()) * base
    for name, count in counts.items():
        # No other whole number of copies would be nearer.
        assert abs(plan[name].total * count - most) <= count / 2 or plan[name].total == 1


def test_angles_and_factors_are_drawn_once_and_for_all():
    ids, classes = clips({"Fear": 3, "Anger": 2})
    samples = lay_out(ids, classes, PAPER, seed=7)
    assert samples == lay_out(ids, classes, PAPER, seed=7)
    assert samples != lay_out(ids, classes, PAPER, seed=8)
    alone = lay_out(ids[1:2], classes[1:2], PAPER, seed=7)
    assert [s.change for s in samples if s.position == 1] == [s.change for s in alone]
    rotations = [s.change.value for s in samples if s.change.kind == "rotation"]
    contrasts = [s.change.value for s in samples if s.change.kind == "contrast"]
    assert len(set(rotations)) == len(rotations) == 3 * 4 + 2 * 2
    assert all(-30 <= angle <= 30 for angle in rotations)
    assert all(0.22 <= factor <= 2.2 for factor in contrasts)
    assert samples[0].change == Change()


def test_changes_by_hand():
    pictures = np.arange(2 * 5 * 5 * 3, dtype=np.uint8).reshape(2, 5, 5, 3)
    assert (Change("flip").apply(pictures) == pictures[:, :, ::-1]).all()
    assert (Change("rotation", 90.0).apply(pictures) == np.rot90(pictures, axes=(1, 2))).all()
    turned = Change("rotation", 45.0).apply(np.full((1, 21, 21, 3), 200, dtype=np.uint8))
    assert (turned[0, 0, 0] == 0).all()
    assert (turned[0, 10, 10] == 200).all()
    values = np.array([0, 100, 127, 200, 255], dtype=np.uint8)
    doubled = Change("contrast", 2.0).apply(values.reshape(1, 1, 5, 1).repeat(3, axis=3))
    assert doubled[0, 0, :, 0].tolist() == [0, 73, 127, 255, 255]
    assert Change("contrast", 0.22).apply(pictures).dtype == np.uint8
    assert (Change().apply(pictures) == pictures).all()


def test_classes_without_counts():
    _, classes = clips({"Neutral": 2, "Fear": 1})
    plan = plan_copies(classes, BalancingConfig(copies={"Fear": Copies(flip=1)}, others=Copies(rotation=5)))
    assert (plan["Fear"].total, plan["Neutral"].total) == (2, 6)
    with pytest.raises(ConfigError, match="names Angre, which no train clip") as raised:
        plan_copies(["Anger", "Fear"], BalancingConfig(copies={"Angre": Copies(flip=1), "Fear": Copies()}))
    assert raised.value.hint is not None
    assert "Anger" in raised.value.hint
    # A fold may lack a class altogether.
    assert plan_copies(["Fear"], PAPER)["Fear"].total == 10


def test_bad_settings():
    with pytest.raises(ValidationError, match="smaller to a larger"):
        BalancingConfig(contrast=(2.0, 1.0))
    with pytest.raises(ValidationError):
        Copies(flip=2)
    with pytest.raises(ValueError, match="shorter"):
        lay_out(["a", "b"], ["Fear"], BalancingConfig(), 0)
