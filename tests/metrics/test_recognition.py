"""WAR, UAR, recalls and the confusion matrix, against scikit-learn and against brute force."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, log_loss, recall_score

from eri.metrics.intensities import Floats
from eri.metrics.recognition import count_decisions, cross_entropy, decide, recalls_of, recognize

NAMES = ("anger", "joy", "fear")


def sample(clips: int = 60, classes: int = 3, seed: int = 0, skill: float = 1.0) -> tuple[Floats, Floats]:
    """Return class probabilities that are right more often the larger the skill is, and one-hot labels."""
    generator = np.random.default_rng(seed)
    labels = np.eye(classes)[generator.integers(classes, size=clips)]
    raw = skill * labels + generator.gumbel(size=labels.shape)
    powers = np.exp(raw)
    return powers / powers.sum(axis=1, keepdims=True), labels


@st.composite
def samples(draw: st.DrawFn) -> tuple[Floats, Floats]:
    return sample(
        draw(st.integers(1, 60)), draw(st.integers(2, 8)), draw(st.integers(0, 2**32)), draw(st.floats(-2, 4))
    )


def named(count: int) -> list[str]:
    return [f"class {index}" for index in range(count)]


class TestAgreement:
    @settings(deadline=None)
    @given(samples())
    def test_with_counting_clip_by_clip(self, pair):
        probabilities, labels = pair
        result = recognize(probabilities, labels, named(labels.shape[1]), resamples=0)
        counts = [[0] * labels.shape[1] for _ in range(labels.shape[1])]
        for row, one_hot in zip(probabilities.tolist(), labels.tolist(), strict=True):
            counts[one_hot.index(1.0)][row.index(max(row))] += 1
        assert [list(row) for row in result.confusion] == counts
        recalls = [row[index] / sum(row) for index, row in enumerate(counts) if sum(row)]
        assert result.uar == pytest.approx(sum(recalls) / len(recalls), abs=1e-12)
        assert result.war == pytest.approx(sum(row[i] for i, row in enumerate(counts)) / len(labels), abs=1e-12)
        assert result.absent == tuple(f"class {index}" for index, row in enumerate(counts) if not sum(row))

    @settings(deadline=None, max_examples=40)
    @given(samples())
    def test_with_scikit_learn(self, pair):
        probabilities, labels = pair
        truth, decided, classes = labels.argmax(1), probabilities.argmax(1), range(labels.shape[1])
        result = recognize(probabilities, labels, named(labels.shape[1]), resamples=0)
        present = sorted(set(truth))
        assert result.war == pytest.approx(accuracy_score(truth, decided))
        recalls = recall_score(truth, decided, labels=present, average=None)
        assert result.uar == pytest.approx(recalls.mean())
        loss = log_loss(truth, probabilities, labels=list(classes))
        assert result.cross_entropy == pytest.approx(loss, rel=1e-6)

    @settings(deadline=None)
    @given(st.integers(1, 30), st.integers(0, 30), st.integers(0, 30), st.integers(1, 30))
    def test_two_classes_are_equation_8_of_paper_001(self, tp, fn, fp, tn):
        truth = np.array([0] * (tp + fn) + [1] * (fp + tn))
        decided = np.array([0] * tp + [1] * fn + [0] * fp + [1] * tn)
        result = recognize(np.eye(2)[decided], np.eye(2)[truth], ["yes", "no"], resamples=0)
        assert result.uar == pytest.approx(tp / (tp + fn) * 0.5 + tn / (tn + fp) * 0.5)
        assert result.war == pytest.approx((tp + tn) / (tp + tn + fn + fp))


class TestScores:
    @settings(deadline=None)
    @given(samples())
    def test_war_is_the_recall_weighted_by_clips(self, pair):
        result = recognize(pair[0], pair[1], named(pair[1].shape[1]), resamples=0)
        weighted = sum((score.recall or 0.0) * score.clips for score in result.classes.values()) / result.clips
        assert result.war == pytest.approx(weighted)

    def test_do_not_depend_on_how_sure_a_decision_is(self):
        probabilities, labels = sample()
        sure = np.eye(3)[decide(probabilities)]
        one, other = recognize(probabilities, labels, NAMES), recognize(sure, labels, NAMES)
        assert (one.war, one.uar, one.confusion, one.classes) == (other.war, other.uar, other.confusion, other.classes)
        assert one.cross_entropy != other.cross_entropy

    def test_always_deciding_the_commonest_class_has_a_chance_uar(self):
        labels = np.eye(3)[[0] * 8 + [1] + [2]]
        result = recognize(np.tile([0.8, 0.1, 0.1], (10, 1)), labels, NAMES, resamples=0)
        assert result.war == 0.8
        assert result.uar == pytest.approx(1 / 3)
        assert [score.decided for score in result.classes.values()] == [10, 0, 0]

    def test_a_class_without_clips_is_named_and_left_out(self):
        labels = np.eye(3)[[0, 0, 1, 1]]
        result = recognize(np.eye(3)[[0, 2, 1, 1]], labels, NAMES, resamples=50)
        assert result.absent == ("fear",)
        assert result.uar == 0.75
        fear = result.classes["fear"]
        assert (fear.recall, fear.interval, fear.clips, fear.decided) == (None, None, 0, 1)
        assert fear.reason == "no clip of this class"
        assert result.lines()[-2].remark == "without clips: fear"

    def test_the_first_of_tying_classes_is_decided(self):
        assert decide([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]]).tolist() == [0, 1]

    def test_json_has_no_nan(self):
        result = recognize(np.eye(3)[[0, 1]], np.eye(3)[[0, 1]], NAMES, resamples=20)
        values = json.loads(json.dumps(result.to_json(), allow_nan=False))
        assert values["classes"]["fear"]["recall"] is None
        assert values["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
        assert (values["war"], values["uar"], values["absent"]) == (1.0, 1.0, ["fear"])

    def test_matrix_rows_are_truth_and_columns_decisions(self):
        matrix = count_decisions(np.eye(3)[[1, 1, 0, 1]], np.eye(3)[[0, 0, 0, 1]])
        assert matrix.tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]
        assert np.isnan(recalls_of(np.diagonal(matrix), matrix.sum(axis=1))).tolist() == [False, False, True]

    def test_impossible_probabilities_have_a_finite_cross_entropy(self):
        assert cross_entropy([[0.0, 1.0]], [[1, 0]]) == pytest.approx(-np.log(1e-12))

    @pytest.mark.parametrize(
        ("probabilities", "labels", "message"),
        [
            ([[0.5, np.nan]], [[1, 0]], r"probabilities: a value is not finite \(row 0\)"),
            ([[0.5, 0.5]], [[1, 1]], "row 0 is not one-hot"),
            ([[0.5, 0.5]], [[0.5, 0.5]], "row 0 is not one-hot"),
            ([[0.5, 0.5]], [[1, 0], [0, 1]], r"probabilities are \(1, 2\), labels are \(2, 2\)"),
            (np.empty((0, 2)), np.empty((0, 2)), "no clip"),
            ([[0.2, 0.3, 0.5]], [[1, 0, 0]], "2 names for 3 classes"),
        ],
    )
    def test_refuses_what_cannot_be_scored(self, probabilities, labels, message):
        with pytest.raises(ValueError, match=message):
            recognize(probabilities, labels, ["a", "b"])


class TestBootstrap:
    def test_same_as_resampling_by_hand(self):
        probabilities, labels = sample(40)
        generator = np.random.default_rng(5)
        drawn = [
            recognize(probabilities[chosen], labels[chosen], NAMES, resamples=0)
            for chosen in generator.integers(40, size=(200, 40))
        ]
        result = recognize(probabilities, labels, NAMES, resamples=200, seed=5)
        for interval, values in (
            (result.war_interval, [one.war for one in drawn]),
            (result.uar_interval, [one.uar for one in drawn]),
            (result.classes["joy"].interval, [one.classes["joy"].recall for one in drawn]),
        ):
            assert interval is not None
            expected = np.quantile(np.array(values, dtype=np.float64), [0.025, 0.975])
            assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=1e-12)

    def test_draws_without_a_rare_class_are_scored_over_the_others(self):
        labels = np.eye(3)[[0] * 20 + [1] * 20 + [2]]
        result = recognize(labels, labels, NAMES, resamples=400)
        assert 0.25 < result.bootstrap.degenerate / 400 < 0.5  # (1 - 1/41)^41 is 0.36
        assert result.uar_interval is not None
        assert (result.uar_interval.low, result.uar_interval.high) == (1.0, 1.0)

    def test_covers_the_truth_about_as_often_as_it_says(self):
        hits = 0
        for seed in range(100):
            generator = np.random.default_rng(seed)
            labels = np.eye(2)[generator.integers(2, size=120)]
            right = generator.random(120) < 0.7
            probabilities = np.where(right[:, None], labels, 1 - labels)
            interval = recognize(probabilities, labels, ["a", "b"], resamples=300, seed=seed).war_interval
            assert interval is not None
            hits += interval.low <= 0.7 <= interval.high
        assert 86 <= hits <= 100
