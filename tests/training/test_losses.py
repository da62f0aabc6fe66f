"""Losses against the metrics that they stand for, and how they behave where a metric is undefined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from eri.config import LossConfig
from eri.metrics.intensities import pearson, score
from eri.training.losses import Objective, ccc_loss, cross_entropy_loss, pearson_loss, strongest_labels


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Predictions and labels in [0, 1], (clips, labels), float64; every column varies."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    clips, labels = draw(st.integers(3, 40)), draw(st.integers(1, 5))
    spread = draw(st.sampled_from([1.0, 1e-3]))
    truth = generator.random((clips, labels))
    mixed = draw(st.floats(-1, 1)) * truth + generator.random((clips, labels))
    return torch.from_numpy(0.5 + spread * (mixed - 0.5)), torch.from_numpy(truth)


@settings(deadline=None)
@given(pairs())
def test_pearson_loss_is_one_minus_the_metric(pair):
    predictions, labels = pair
    expected = 1 - pearson(predictions.numpy(), labels.numpy()).mean()
    assert pearson_loss(predictions, labels).item() == pytest.approx(expected, abs=1e-10)


@settings(deadline=None)
@given(pairs())
def test_ccc_loss_is_one_minus_the_metric(pair):
    predictions, labels = pair
    names = [str(column) for column in range(labels.shape[1])]
    expected = score(predictions.numpy(), labels.numpy(), names, resamples=0).ccc
    assert expected is not None
    assert ccc_loss(predictions, labels).item() == pytest.approx(1 - expected, abs=1e-9)


@settings(deadline=None)
@given(pairs())
def test_concordance_is_bounded_by_correlation(pair):
    predictions, labels = pair[0][:, :1], pair[1][:, :1]
    concordance, correlation = 1 - ccc_loss(predictions, labels), 1 - pearson_loss(predictions, labels)
    assert -1 - 1e-9 <= concordance.item() <= 1 + 1e-9
    assert concordance.abs().item() <= correlation.abs().item() + 1e-9
    assert ccc_loss(labels, labels).item() == pytest.approx(0, abs=1e-9)


@settings(deadline=None)
@given(pairs(), st.floats(0.1, 10), st.floats(-5, 5))
def test_pearson_loss_ignores_scale_and_offset_and_ccc_does_not(pair, scale, offset):
    predictions, labels = pair
    assert pearson_loss(scale * predictions + offset, labels).item() == pytest.approx(
        pearson_loss(predictions, labels).item(), abs=1e-6
    )
    assert ccc_loss(labels + 1, labels).item() > 0.1


@pytest.mark.parametrize("loss", [ccc_loss, pearson_loss])
@pytest.mark.parametrize("constant", ["predictions", "labels", "both", "rounding"])
def test_constant_columns_have_a_finite_loss_and_gradient(loss, constant):
    generator = torch.Generator().manual_seed(0)
    predictions, labels = torch.rand(16, 3, generator=generator), torch.rand(16, 3, generator=generator)
    if constant in ("predictions", "both"):
        predictions[:, 1] = 0.3
    if constant == "rounding":
        predictions[:, 1] = 0.3 + 1e-8 * torch.rand(16, generator=generator)
    if constant in ("labels", "both"):
        labels[:, 1] = 0.7
    predictions.requires_grad_()
    value = loss(predictions, labels)
    torch.autograd.backward(value)
    assert predictions.grad is not None
    assert torch.isfinite(value)
    assert predictions.grad.abs().max() < 100
    if loss is pearson_loss:
        assert (predictions.grad[:, 1] == 0).all()


@settings(deadline=None)
@given(pairs())
def test_gradients_are_those_of_finite_differences(pair):
    predictions, labels = pair[0][:6].clone().requires_grad_(), pair[1][:6]
    if predictions.detach().std(dim=0).min() > 0.05:
        assert torch.autograd.gradcheck(pearson_loss, (predictions, labels))
        assert torch.autograd.gradcheck(ccc_loss, (predictions, labels))


def test_cross_entropy_is_of_the_strongest_label():
    raw = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    labels = torch.tensor([[1.0, 0.2, 0.1], [0.3, 0.2, 1.0]])
    expected = torch.nn.functional.cross_entropy(raw, torch.tensor([0, 2]))
    assert cross_entropy_loss(raw, strongest_labels(labels)).item() == pytest.approx(expected.item())


def test_ties_share_and_clips_without_a_strongest_label_do_not_count():
    labels = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    targets = strongest_labels(labels)
    assert targets.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    raw = torch.tensor([[1.0, 0.0, 0.0], [5.0, 0.0, 0.0]])
    assert cross_entropy_loss(raw, targets).item() == pytest.approx(cross_entropy_loss(raw[:1], targets[:1]).item())
    assert cross_entropy_loss(raw[1:], targets[1:]).item() == 0


def test_the_objective_is_the_weighted_sum():
    generator = torch.Generator().manual_seed(1)
    intensities, raw, labels = (torch.rand(9, 4, generator=generator) for _ in range(3))
    targets = strongest_labels(labels)
    parts = {
        "mse": torch.nn.functional.mse_loss(intensities, labels),
        "ccc": ccc_loss(intensities, labels),
        "pearson": pearson_loss(intensities, labels),
        "cross_entropy": cross_entropy_loss(raw, targets),
    }
    for name, value in parts.items():
        config = LossConfig.model_validate({"mse": 0, name: 2.0})
        assert Objective(config)(intensities, raw, labels, targets).item() == pytest.approx(2 * value.item())
    together = Objective(LossConfig(mse=0.3, ccc=0.7, pearson=0.1, cross_entropy=0.01))
    expected = 0.3 * parts["mse"] + 0.7 * parts["ccc"] + 0.1 * parts["pearson"] + 0.01 * parts["cross_entropy"]
    assert together(intensities, raw, labels, targets).item() == pytest.approx(expected.item())
