"""Which epoch wins."""

from __future__ import annotations

import numpy as np
import pytest

from eri.metrics.intensities import Floats, score
from eri.metrics.scoring import ClassificationScorer, RegressionScorer, Validation, create_scorer
from eri.training.events import Best

validate = RegressionScorer(("a", "b", "c")).validate


def pair(clips: int = 30, labels: int = 3, seed: int = 0) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    truth = generator.random((clips, labels))
    return truth + generator.random((clips, labels)), truth


def test_the_official_mean_decides():
    predictions, truth = pair()
    result = validate(predictions, truth)
    assert result.score == result.figure == score(predictions, truth, ["a", "b", "c"], resamples=0).mean


def test_a_constant_prediction_loses_against_any_epoch_without():
    predictions, truth = pair()
    bad = validate(-truth, truth)
    predictions[:, 0] = 0.3
    constant = validate(predictions, truth)
    assert constant.figure is None
    assert constant.score < bad.score
    predictions[:, 1] = 0.3
    assert validate(predictions, truth).score < constant.score


def test_labels_that_do_not_vary_are_left_out_for_every_epoch():
    predictions, truth = pair()
    truth[:, 2] = 1.0
    result = validate(predictions, truth)
    assert result.figure is None
    assert result.score == pytest.approx(result.labels[:2].mean())


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
    assert (best.epoch, best.figure) == (3, better.figure)


class TestClasses:
    """The epoch of classes: WAR decides, then UAR, then cross-entropy."""

    TRUTH = np.eye(3)[[0, 0, 0, 1, 2]]

    def judged(self, decisions: list[int], sureness: float = 1.0) -> Validation:
        probabilities = sureness * np.eye(3)[decisions] + (1 - sureness) / 3
        return ClassificationScorer(("a", "b", "c")).validate(probabilities, self.TRUTH)

    def test_war_decides_over_uar(self):
        four, three = self.judged([0, 0, 0, 1, 1]), self.judged([0, 1, 1, 1, 2])
        assert (four.figure, three.figure) == (0.8, 0.6)
        assert four.ties[0] < three.ties[0]  # UAR
        best = Best()
        assert [best.update(epoch, result) for epoch, result in enumerate([three, four, three], 1)] == [
            True,
            True,
            False,
        ]

    def test_uar_decides_between_equal_war_and_cross_entropy_between_equal_both(self):
        rare, common = self.judged([0, 0, 1, 1, 2]), self.judged([0, 0, 0, 1, 0])
        assert rare.figure == common.figure == 0.8
        surer = self.judged([0, 0, 1, 1, 2], sureness=0.6)  # is less wrong where it is wrong
        assert surer.loss < rare.loss
        best = Best()
        order = [common, rare, common, surer, rare]
        assert [best.update(epoch, result) for epoch, result in enumerate(order, 1)] == [True, True, False, True, False]
        assert (best.epoch, best.figure) == (4, 0.8)

    def test_history_shows_war_uar_and_recalls(self):
        scorer = create_scorer("classification", ("a", "b", "c", "d"))
        truth = np.eye(4)[[0, 0, 1, 2]]
        columns = scorer.columns(scorer.validate(np.eye(4)[[0, 1, 1, 3]], truth))
        assert columns == {"val_war": 0.5, "val_uar": 0.5, "a": 0.5, "b": 1.0, "c": 0.0, "d": None}
