"""Which epoch wins."""

from __future__ import annotations

import numpy as np
import pytest

from eri.metrics import Floats, score
from eri.training.selection import Best, validate


def pair(clips: int = 30, labels: int = 3, seed: int = 0) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    truth = generator.random((clips, labels))
    return truth + generator.random((clips, labels)), truth


def test_the_official_mean_decides():
    predictions, truth = pair()
    result = validate(predictions, truth)
    assert result.score == result.mean == score(predictions, truth, ["a", "b", "c"], draws=0).mean


def test_a_constant_prediction_loses_against_any_epoch_without():
    predictions, truth = pair()
    bad = validate(-truth, truth)
    predictions[:, 0] = 0.3
    constant = validate(predictions, truth)
    assert constant.mean is None
    assert constant.score < bad.score
    predictions[:, 1] = 0.3
    assert validate(predictions, truth).score < constant.score


def test_labels_that_do_not_vary_are_left_out_for_every_epoch():
    predictions, truth = pair()
    truth[:, 2] = 1.0
    result = validate(predictions, truth)
    assert result.mean is None
    assert result.score == pytest.approx(result.pearson[:2].mean())


def test_error_decides_when_no_label_varies():
    predictions, truth = pair()
    truth[:] = 0.5
    assert validate(truth, truth).score > validate(predictions, truth).score


def test_only_strictly_better_epochs_replace_the_best():
    predictions, truth = pair()
    good, better = validate(predictions, truth), validate(truth, truth)
    best = Best()
    assert [best.update(epoch, result) for epoch, result in enumerate([good, good, better, good], start=1)] == [
        True,
        False,
        True,
        False,
    ]
    assert (best.epoch, best.mean) == (3, better.mean)
