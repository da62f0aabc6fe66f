"""How fusion heads join modalities, and what they do where a clip lacks one."""

from __future__ import annotations

import pytest
import torch

from eri.config import ConcatenationConfig, CrossAttentionConfig, GatedConfig, GRUConfig, LateConfig
from eri.config.tasks import ERI
from eri.models import Regressor, Sequences
from eri.models.heads.fusion import LateHead

DIMENSIONS = {"visual": 4, "audio": 3}
ENCODER = GRUConfig(hidden_size=8, dense=8, dropout=0.0)
Fusion = ConcatenationConfig | GatedConfig | CrossAttentionConfig | LateConfig


def clips(seed: int = 0) -> dict[str, Sequences]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: Sequences(torch.randn(4, 5, length, generator=generator), torch.ones(4, 5, dtype=torch.bool))
        for name, length in DIMENSIONS.items()
    }


def build(config: Fusion) -> Regressor:
    torch.manual_seed(0)
    return Regressor(config, DIMENSIONS, ERI).eval()


def shift(model: Regressor, parameter: str, amount: float) -> None:
    with torch.no_grad():
        model.get_parameter(parameter).add_(amount)


class TestLate:
    def test_is_the_mean_of_intensities_not_of_raw_outputs(self):
        model, inputs = build(LateConfig(encoder=ENCODER)), clips()
        head = model.head
        assert isinstance(head, LateHead)
        shift(model, "head.outputs.visual.bias", 3.0)
        prepared = model.prepare(inputs)
        states = head.states(prepared)
        raw = [net(state) for net, state in zip(head.outputs.children(), states, strict=True)]
        assert torch.allclose(model(inputs), (torch.sigmoid(raw[0]) + torch.sigmoid(raw[1])) / 2)
        assert torch.allclose(head(prepared), (raw[0] + raw[1]) / 2)

    def test_a_clip_with_one_modality_is_predicted_by_it_alone(self):
        model, inputs = build(LateConfig(encoder=ENCODER)), clips()
        inputs["audio"].mask[1] = False
        before = model(inputs)
        shift(model, "head.outputs.audio.bias", 5.0)
        after = model(inputs)
        assert torch.equal(after[1], before[1])
        assert (after[0] > before[0]).all()


class TestGated:
    def test_shares_of_absent_modalities_are_nought(self):
        model, inputs = build(GatedConfig(encoder=ENCODER)), clips()
        inputs["audio"].mask[1] = False
        before = model(inputs)
        shift(model, "head.values.audio.bias", 1.0)
        after = model(inputs)
        assert torch.equal(after[1], before[1])
        assert not torch.equal(after[0], before[0])


@pytest.mark.parametrize("fusion", [ConcatenationConfig, GatedConfig, CrossAttentionConfig, LateConfig])
def test_each_modality_has_weights_of_its_own(fusion):
    inputs = [name for name in build(fusion(encoder=ENCODER)).state_dict() if name.endswith("weight_ih_l0")]
    assert len(inputs) == 2
    assert "visual" in inputs[0]
    assert "audio" in inputs[1]


def test_cross_attention_sees_the_rows_of_the_other_modality():
    model, inputs = build(CrossAttentionConfig(encoder=ENCODER)), clips()
    before = model(inputs)
    inputs["audio"].values[0, 2] += 1.0
    with torch.no_grad():
        assert not torch.equal(model(inputs)[0], before[0])
        assert torch.allclose(model(inputs)[1:], before[1:], atol=1e-6)
