"""Every head through the model that wraps it: it learns, and masked rows never touch its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from eri.config import (
    MODELS,
    AttentionPoolingConfig,
    BaselineLSTMConfig,
    FusionBase,
    FusionLSTMConfig,
    GRUTransformerConfig,
    HeadConfig,
    LSTMConfig,
)
from eri.config.models import EncoderConfig
from eri.config.tasks import ERI, Task
from eri.models import Regressor, Sequences, create_head

PAIR = Task("pair", ("first", "second"))
HEADS = [head for head in MODELS.values() if issubclass(head, HeadConfig)]
ENCODERS = [head for head in HEADS if issubclass(head, EncoderConfig)]
FUSIONS = [head for head in HEADS if issubclass(head, FusionBase)]
SIZES = {
    "hidden_size": 16,
    "dense": 8,
    "joint": 8,
    "dropout": 0.0,
    "rnn_dropout": 0.0,
    "levels": 2,
    "attention_heads": 2,
    "feedforward": 16,
}


def small(head: type[HeadConfig], encoder: type[HeadConfig] = GRUTransformerConfig, **settings: Any) -> HeadConfig:
    """A head's config, small enough for tests and without dropout; a fusion is over an encoder."""
    sizes: dict[str, Any] = {**SIZES, **settings}
    if issubclass(head, FusionBase):
        sizes["encoder"] = small(encoder, **settings)
    return head.model_validate({key: value for key, value in sizes.items() if key in head.model_fields})


def dimensions_of(head: type[HeadConfig]) -> dict[str, int]:
    return {"visual": 6, "audio": 4} if head.fuses else {"visual": 6}


def batch(dimensions: Mapping[str, int], clips: int = 5, rows: int = 7, seed: int = 0) -> dict[str, Sequences]:
    generator = torch.Generator().manual_seed(seed)
    result = {}
    for name, dimension in dimensions.items():
        mask = torch.rand(clips, rows, generator=generator) < 0.6
        mask[:, 0] = True
        result[name] = Sequences(torch.randn(clips, rows, dimension, generator=generator), mask)
    return result


def build(head: type[HeadConfig], seed: int = 0, **settings: Any) -> Regressor:
    torch.manual_seed(seed)
    return Regressor(small(head, **settings), dimensions_of(head), PAIR).eval()


def alone(inputs: Mapping[str, Sequences], clip: int) -> dict[str, Sequences]:
    """One clip by itself, its valid rows and nothing else."""
    result = {}
    for name, sequences in inputs.items():
        values = sequences.values[clip][sequences.mask[clip]][None]
        times = sequences.times[clip][sequences.mask[clip]][None]
        result[name] = Sequences(values, torch.ones(values.shape[:2], dtype=torch.bool), times)
    return result


def largest_difference(first: Tensor, second: Tensor) -> float:
    return (first - second).detach().abs().max().item()


def test_every_name_is_covered():
    names = {name for name in MODELS if MODELS[name] in HEADS}
    assert names >= {"lstm", "baseline-lstm", "fusion-lstm", "gru", "bilstm", "attention-pooling", "tcn"}
    assert names >= {"transformer", "tcn-transformer", "gru-transformer"}
    assert names >= {"concatenation", "gated", "cross-attention", "late"}


@pytest.mark.parametrize("head", HEADS)
class TestEveryHead:
    def test_overfits_tiny_data(self, head):
        model = build(head).train()
        inputs, truth = batch(dimensions_of(head), clips=8), torch.rand(8, 2)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        least = truth.var().item()
        assert least > 1e-3
        for _ in range(600):  # how many it takes depends on the processor's rounding
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(inputs), truth)
            torch.autograd.backward(loss)
            optimizer.step()
            if (least := min(least, loss.item())) < 1e-3:
                break
        assert least < 1e-3

    def test_every_parameter_learns(self, head):
        model = build(head)
        torch.autograd.backward(model(batch(dimensions_of(head))).square().sum())
        silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().any()]
        assert silent == []

    def test_masked_rows_have_no_influence(self, head):
        model, inputs = build(head), batch(dimensions_of(head))
        expected = model(inputs)
        garbage = {
            name: Sequences(s.values.masked_fill(~s.mask[..., None], float("nan")), s.mask)
            for name, s in inputs.items()
        }
        assert torch.equal(model(garbage), expected)

    def test_padding_has_no_influence(self, head):
        model, inputs = build(head), batch(dimensions_of(head))
        longer = {
            name: Sequences(
                torch.cat([s.values, torch.full_like(s.values, 1e9)], dim=1),
                torch.cat([s.mask, torch.zeros_like(s.mask)], dim=1),
            )
            for name, s in inputs.items()
        }
        assert torch.equal(model(longer), model(inputs))

    def test_a_clip_alone_is_the_clip_in_a_batch(self, head):
        model, inputs = build(head), batch(dimensions_of(head))
        together = model(inputs)
        for clip in range(5):
            assert largest_difference(model(alone(inputs, clip))[0], together[clip]) < 1e-6

    def test_order_of_rows_matters(self, head):
        model, inputs = build(head), batch(dimensions_of(head))
        reversed_rows = {name: Sequences(s.values.flip(1), s.mask.flip(1)) for name, s in inputs.items()}
        change = largest_difference(model(reversed_rows), model(inputs))
        if head is AttentionPoolingConfig:  # the one that does not see the order, as it says
            assert change < 1e-6
        else:
            assert change > 1e-4

    def test_no_valid_row_is_finite_and_harms_no_other_clip(self, head):
        model, inputs = build(head), batch(dimensions_of(head))
        expected = model(inputs)
        for sequences in inputs.values():
            sequences.mask[2] = False
        result = model(inputs)
        assert torch.isfinite(result).all()
        others = [0, 1, 3, 4]
        assert largest_difference(result[others], expected[others]) < 1e-6
        for sequences in inputs.values():
            sequences.mask[:] = False
        nothing = model(inputs)
        assert largest_difference(nothing, result[2].expand(5, -1)) < 1e-6

    @pytest.mark.parametrize("activation", ["sigmoid", "linear", "softmax"])
    def test_activation_bounds_the_output(self, head, activation):
        torch.manual_seed(1)
        task = Task("valence", ("valence", "arousal"), low=-1.0, high=1.0)
        model = Regressor(small(head), dimensions_of(head), task, activation).eval()
        with torch.no_grad():
            for parameter in model.head.parameters():
                parameter.mul_(8)
        inputs = batch(dimensions_of(head), clips=40)
        trained, submitted = model(inputs), model.predict(inputs)
        assert submitted.abs().max() <= 1.0
        if activation == "linear":
            assert trained.abs().max() > 1.0
        else:
            assert trained.abs().max() <= 1.0
        if activation == "softmax":
            shares = (trained + 1) / 2
            assert largest_difference(shares.sum(dim=1), torch.ones(40)) < 1e-5

    def test_runs_with_its_own_defaults(self, head):
        model = Regressor(head(), dimensions_of(head), ERI).eval()
        assert model(batch(dimensions_of(head), clips=2)).shape == (2, 7)


@pytest.mark.parametrize("head", [FusionLSTMConfig, *FUSIONS])
def test_a_fusion_uses_the_modality_that_is_there(head):
    model, inputs = build(head), batch(dimensions_of(head))
    inputs["audio"].mask[0] = False
    before = model(inputs)
    inputs["visual"].values[0] += 3.0
    after = model(inputs)
    assert torch.isfinite(before).all()
    assert largest_difference(after[0], before[0]) > 1e-4
    assert largest_difference(after[1:], before[1:]) < 1e-6


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("head", FUSIONS)
def test_every_fusion_works_over_every_encoder(head, encoder):
    torch.manual_seed(0)
    model = Regressor(small(head, encoder), dimensions_of(head), PAIR)
    inputs = batch(dimensions_of(head))
    inputs["audio"].mask[1] = False
    result = model(inputs)
    torch.autograd.backward(result.square().sum())
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().any()] == []
    assert largest_difference(model.eval()(alone(inputs, 0))[0], model(inputs)[0]) < 1e-6


def test_dropout_is_off_in_evaluation():
    model, inputs = build(LSTMConfig, dropout=0.5), batch({"visual": 6})
    assert torch.equal(model(inputs), model(inputs))
    model.train()
    assert not torch.equal(model(inputs), model(inputs))


@pytest.mark.parametrize("head", [LSTMConfig, BaselineLSTMConfig])
def test_one_modality_heads_refuse_two(head):
    with pytest.raises(ValueError, match="reads one modality, not \\['audio', 'visual'\\]"):
        create_head(small(head), {"visual": 6, "audio": 4}, 2)


@pytest.mark.parametrize(
    ("head", "keys"),
    [
        (LSTMConfig, ["encoder.lstm.weight_ih_l0", "output.1.weight", "output.4.bias"]),
        (BaselineLSTMConfig, ["projection.weight", "encoder.lstm.weight_hh_l2", "output.3.bias"]),
        (FusionLSTMConfig, ["encoders.audio.lstm.bias_hh_l0", "dense.visual.1.weight", "output.3.bias"]),
    ],
)
def test_weights_of_earlier_runs_still_fit(head, keys):
    assert {f"head.{key}" for key in keys} <= build(head).state_dict().keys()
