"""What encoders promise beyond what every head does: times, reach, masks, poolings."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from eri.config import (
    BiLSTMConfig,
    EncoderConfig,
    GRUConfig,
    GRUTransformerConfig,
    TCNConfig,
    TCNTransformerConfig,
    TransformerConfig,
)
from eri.models import Sequences
from eri.models.encoders import Encoder, create_encoder
from eri.models.encoders.convolution import Convolutions
from eri.models.encoders.recurrent import RecurrentEncoder
from eri.models.encoders.transformer import Attention, TimeEncoding

SMALL: dict[str, Any] = {"hidden_size": 16, "attention_heads": 2, "feedforward": 16, "levels": 2, "dropout": 0.0}
TIMED: list[type[EncoderConfig]] = [TransformerConfig, TCNTransformerConfig, GRUTransformerConfig]


def build(kind: type[EncoderConfig], **values: Any) -> Encoder:
    torch.manual_seed(0)
    fields = {key: value for key, value in {**SMALL, **values}.items() if key in kind.model_fields}
    return create_encoder(kind.model_validate(fields), 4).eval()


def clip(rows: int = 6, seed: int = 0, times: Tensor | None = None) -> Sequences:
    values = torch.randn(1, rows, 4, generator=torch.Generator().manual_seed(seed))
    return Sequences(values, torch.ones(1, rows, dtype=torch.bool), times)


def difference(first: Tensor, second: Tensor) -> float:
    return (first - second).detach().abs().max().item()


class TestTimes:
    @pytest.mark.parametrize("kind", TIMED)
    def test_a_transformer_sees_when_rows_were(self, kind):
        encoder = build(kind)
        usual = encoder(clip(times=torch.arange(6.0)[None])).summary
        assert difference(encoder(clip(times=2 * torch.arange(6.0)[None])).summary, usual) > 1e-4

    def test_rows_keep_their_times_when_those_between_are_masked(self):
        encoder, whole = build(TransformerConfig), clip(9, times=0.5 * torch.arange(9.0)[None])
        gaps = Sequences(whole.values, torch.tensor([[True, False, False] * 3]), whole.times)
        sparse = clip(9)
        alone = Sequences(sparse.values[:, ::3], torch.ones(1, 3, dtype=torch.bool), whole.times[:, ::3])
        assert torch.equal(encoder(gaps.compact()).summary, encoder(alone).summary)
        close = Sequences(alone.values, alone.mask)
        assert difference(encoder(close).summary, encoder(alone).summary) > 1e-4

    @settings(deadline=None)
    @given(st.floats(0, 1000), st.sampled_from([2, 8, 64]))
    def test_the_code_of_a_time_is_its_own_whatever_the_other_rows(self, time, width):
        encoding = TimeEncoding(width, 0.2, 100.0)
        alone = encoding(torch.tensor([[time]]))
        among = encoding(torch.tensor([[0.0, time, time + 1]]))
        assert torch.equal(among[0, 1], alone[0, 0])
        assert alone.abs().max() <= 1.0

    def test_the_sinusoids_have_the_periods_asked_for(self):
        encoding = TimeEncoding(4, 0.5, 8.0)
        code = encoding(torch.tensor([[0.125, 2.0]]))[0]
        assert code[0, 0].item() == pytest.approx(1.0)  # a quarter of the shortest period
        assert code[1, 1].item() == pytest.approx(1.0)  # a quarter of the longest


class TestLength:
    @pytest.mark.parametrize("kind", TIMED)
    def test_no_row_of_a_long_clip_is_cut_off(self, kind):
        encoder, long = build(kind), clip(1500)
        changed = Sequences(long.values.clone(), long.mask)
        changed.values[0, -1] += 5.0
        assert difference(encoder(changed).summary, encoder(long).summary) > 1e-6

    @pytest.mark.parametrize("kind", [GRUConfig, BiLSTMConfig, TCNConfig, *TIMED])
    def test_encoded_rows_stand_where_the_rows_stood(self, kind):
        encoder = build(kind)
        mask = torch.tensor([[True, True, True, False], [True, False, False, False], [False] * 4])
        values = torch.randn(3, 4, 4).masked_fill(~mask[..., None], 0.0)
        encoded = encoder(Sequences(values, mask))
        assert torch.equal(encoded.rows.mask, mask)
        assert (encoded.rows.values[~mask] == 0).all()
        assert encoded.rows.values.shape[2] == encoded.summary.shape[1]
        assert (encoded.rows.values[mask].abs().sum(dim=1) > 0).all()


class TestConvolutions:
    @pytest.mark.parametrize("causal", [True, False])
    def test_reach_is_as_stated_and_no_further(self, causal):
        config = TCNConfig(hidden_size=8, levels=3, kernel_size=3, causal=causal, dropout=0.0)
        torch.manual_seed(0)
        net = Convolutions(config, 4).eval()
        rows, centre = 80, 40
        values = torch.randn(1, rows, 4, requires_grad=True)
        result = net(Sequences(values, torch.ones(1, rows, dtype=torch.bool))).values
        (gradient,) = torch.autograd.grad(result[0, centre].sum(), values)
        seen = torch.nonzero(gradient[0].abs().sum(dim=1)).squeeze(1)
        reach = 2 * (3 - 1) * (2**3 - 1)
        first, last = (centre - reach, centre) if causal else (centre - reach // 2, centre + reach // 2)
        assert (seen.min().item(), seen.max().item()) == (first, last)
        assert len(seen) <= 1 + reach


class TestAttention:
    def test_is_the_softmax_of_scaled_products(self):
        torch.manual_seed(0)
        attention = Attention(6, 1)
        queries, rows = torch.randn(2, 3, 6), torch.randn(2, 5, 6)
        mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
        scores = attention.query(queries) @ attention.key(rows).transpose(1, 2) / math.sqrt(6)
        weights = torch.softmax(scores.masked_fill(~mask[:, None], float("-inf")), dim=2)
        assert difference(attention(queries, rows, mask), attention.output(weights @ attention.value(rows))) < 1e-6

    def test_agrees_with_that_of_torch(self):
        torch.manual_seed(0)
        attention, reference = Attention(8, 4), torch.nn.MultiheadAttention(8, 4, bias=False, batch_first=True)
        parts = [attention.query.weight, attention.key.weight, attention.value.weight]
        with torch.no_grad():
            assert reference.in_proj_weight is not None
            reference.in_proj_weight.copy_(torch.cat(parts))
            reference.out_proj.weight.copy_(attention.output.weight)
            attention.output.bias.zero_()
        queries, rows = torch.randn(3, 2, 8), torch.randn(3, 7, 8)
        mask = torch.arange(7) < torch.tensor([[7], [3], [1]])
        expected, _ = reference(queries, rows, rows, key_padding_mask=~mask)
        assert difference(attention(queries, rows, mask), expected) < 1e-6

    def test_nothing_to_attend_to_gives_no_more_than_the_offset(self):
        attention = Attention(4, 2)
        result = attention(torch.randn(1, 2, 4), torch.randn(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool))
        assert torch.equal(result, attention.output.bias.expand(1, 2, 4))


class TestPooling:
    @pytest.mark.parametrize("kind", [GRUConfig, BiLSTMConfig, TCNConfig])
    @pytest.mark.parametrize("pooling", ["last", "mean", "attention"])
    def test_depends_on_the_valid_rows_alone(self, kind, pooling):
        encoder, own = build(kind, pooling=pooling), clip(5)
        padded = Sequences(torch.cat([own.values, torch.zeros(1, 4, 4)], dim=1), torch.arange(9)[None] < 5)
        assert difference(encoder(padded).summary, encoder(own).summary) < 1e-6
        nothing = encoder(Sequences(torch.zeros(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool)))
        assert (nothing.summary == 0).all()

    def test_last_of_two_directions_is_the_end_of_each(self):
        encoder, own = build(BiLSTMConfig), clip(5)
        assert isinstance(encoder, RecurrentEncoder)
        padded = Sequences(torch.cat([own.values, torch.zeros(1, 2, 4)], dim=1), torch.arange(7)[None] < 5)
        _, (hidden, _) = encoder.net(own.values)
        assert difference(encoder(padded).summary, torch.cat([hidden[0], hidden[1]], dim=1)) < 1e-6

    def test_mean_is_that_of_the_encoded_rows(self):
        encoded = build(GRUConfig, pooling="mean")(clip(5))
        assert difference(encoded.summary, encoded.rows.values.mean(dim=1)) < 1e-6
