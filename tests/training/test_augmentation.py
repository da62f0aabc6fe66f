"""Mixup, noise and dropped modalities: what they change, and what they must not."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from eri.config import FusionLSTMConfig, RegularizationConfig
from eri.config.tasks import ERI
from eri.models import Regressor, Sequences
from eri.training.augmentation import HeadPass, Mixing, add_noise, drop_modalities

DIMENSIONS = {"visual": 3, "audio": 2}


def clips(count: int = 6, dimension: int = 3, rows: int = 5, seed: int = 0) -> Sequences:
    """Compacted sequences of many lengths, one of them empty."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(0, rows + 1, (count,), generator=generator)
    lengths[0], lengths[-1] = rows, 0
    mask = torch.arange(rows) < lengths[:, None]
    values = torch.randn(count, rows, dimension, generator=generator).masked_fill(~mask[..., None], 0.0)
    return Sequences(values, mask, torch.rand(count, rows, generator=generator).cumsum(1))


def both(count: int = 6) -> dict[str, Sequences]:
    return {name: clips(count, length, seed=length) for name, length in DIMENSIONS.items()}


class TestMixup:
    def test_mixes_rows_labels_and_masks_with_one_share(self):
        own = clips(3)
        mixing = Mixing(torch.tensor([1, 2, 0]), torch.tensor([0.75, 0.5, 1.0]))
        mixed = mixing.mix_sequences(own)
        assert torch.equal(mixed.mask, own.mask | own.mask[[1, 2, 0]])
        assert torch.allclose(mixed.values[0], 0.75 * own.values[0] + 0.25 * own.values[1])
        assert torch.equal(mixed.values[2], own.values[2])
        labels = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        assert torch.allclose(mixing.mix(labels)[0], torch.tensor([0.75, 0.25]))

    def test_times_are_those_of_the_row_that_is_there(self):
        own = clips(2)  # the second clip is empty
        mixed = Mixing(torch.tensor([1, 0]), torch.tensor([0.6, 0.6])).mix_sequences(own)
        assert torch.equal(mixed.times[0], own.times[0])
        assert torch.equal(mixed.times[1], own.times[0])

    @settings(deadline=None)
    @given(st.floats(0.05, 4), st.integers(1, 20), st.integers(0, 99))
    def test_every_clip_keeps_half_or_more_and_is_a_partner_once(self, concentration, count, seed):
        torch.manual_seed(seed)
        mixing = Mixing.draw(concentration, count, torch.device("cpu"))
        assert sorted(mixing.partner.tolist()) == list(range(count))
        assert (mixing.share >= 0.5).all()
        assert (mixing.share <= 1.0).all()

    def test_rows_that_no_clip_has_stay_zero(self):
        own = clips(4, rows=5)
        padded = Sequences(
            torch.cat([own.values, torch.zeros(4, 2, 3)], dim=1),
            torch.cat([own.mask, torch.zeros(4, 2, dtype=torch.bool)], dim=1),
        )
        mixed = Mixing.draw(1.0, 4, torch.device("cpu")).mix_sequences(padded)
        assert (mixed.values[~mixed.mask] == 0).all()
        assert not mixed.mask[:, 5:].any()


def test_noise_is_on_valid_rows_alone_and_of_the_deviation_asked_for():
    torch.manual_seed(0)
    own = clips(400, 8)
    noise = add_noise(own, 0.25).values - own.values
    assert (noise[~own.mask] == 0).all()
    assert noise[own.mask].std().item() == pytest.approx(0.25, rel=0.05)


class TestModalityDropout:
    @settings(deadline=None, max_examples=30)
    @given(st.floats(0.01, 0.99), st.integers(0, 99))
    def test_no_clip_loses_its_last_modality(self, chance, seed):
        torch.manual_seed(seed)
        before = both()
        after = drop_modalities(before, chance)
        had = torch.stack([own.present for own in before.values()], dim=1)
        has = torch.stack([own.present for own in after.values()], dim=1)
        assert torch.equal(had.any(dim=1), has.any(dim=1))
        assert not (has & ~had).any()
        for name, own in after.items():
            assert (own.values[~own.mask] == 0).all()
            kept = own.present
            assert torch.equal(own.values[kept], before[name].values[kept])

    def test_drops_as_often_as_asked(self):
        torch.manual_seed(0)
        full = {name: Sequences(torch.ones(4000, 1, 1), torch.ones(4000, 1, dtype=torch.bool)) for name in DIMENSIONS}
        lost = 1 - torch.stack([own.present for own in drop_modalities(full, 0.4).values()]).float().mean()
        # Both would go with a chance of 0.16, and then one of the two stays.
        assert lost.item() == pytest.approx(0.4 - 0.08, abs=0.02)


class TestHeadPass:
    def test_without_regularisers_it_is_the_model_to_the_bit(self):
        model = Regressor(FusionLSTMConfig(hidden_size=4, dense=4, joint=4, dropout=0.0), DIMENSIONS, ERI)
        inputs = both()
        intensities, raw, own = HeadPass(model, RegularizationConfig())(inputs, None, torch.zeros(2, 7))
        assert own is None
        assert torch.equal(intensities, model(inputs))
        assert torch.equal(torch.sigmoid(raw), intensities)

    @pytest.mark.parametrize("switched", [{"feature_noise": 0.5}, {"modality_dropout": 0.5}])
    def test_a_regulariser_changes_training_and_not_prediction(self, switched):
        model = Regressor(FusionLSTMConfig(hidden_size=4, dense=4, joint=4, dropout=0.0), DIMENSIONS, ERI)
        inputs, training = both(), HeadPass(model, RegularizationConfig(**switched))
        first, second = (training(inputs, None, torch.zeros(2, 7))[0] for _ in range(2))
        assert not torch.equal(first, second)
        assert torch.equal(model.predict(inputs), model.predict(inputs))
