"""Standardisation as the model applies it."""

from __future__ import annotations

import numpy as np
import torch

from eri.config import LSTMConfig
from eri.config.tasks import ERI
from eri.models import Regressor, Sequences, Standardizer


def test_a_new_one_changes_nothing():
    values = torch.randn(3, 4)
    assert torch.equal(Standardizer(4)(values), values)


def test_maps_to_zero_mean_and_unit_deviation():
    generator = np.random.default_rng(0)
    values = generator.normal([5.0, -2.0], [3.0, 0.01], size=(500, 2))
    standardizer = Standardizer(2)
    standardizer.set_statistics(values.mean(axis=0), values.std(axis=0))
    result = standardizer(torch.from_numpy(values).float()).numpy()
    np.testing.assert_allclose(result.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(result.std(axis=0), 1, atol=1e-4)


def test_a_feature_that_does_not_vary_is_only_centred():
    standardizer = Standardizer(2)
    standardizer.set_statistics(np.array([0.1, 0.0]), np.array([1e-17, 0.0]))
    result = standardizer(torch.tensor([[0.1, 0.0], [0.6, 2.0]]))
    assert torch.allclose(result, torch.tensor([[0.0, 0.0], [0.5, 2.0]]))


def test_travels_with_the_weights():
    first, second = (Regressor(LSTMConfig(hidden_size=4, dense=4), {"audio": 3}, ERI).eval() for _ in range(2))
    standardizer = first.standardizers["audio"]
    assert isinstance(standardizer, Standardizer)
    standardizer.set_statistics(np.full(3, 7.0), np.full(3, 2.0))
    second.load_state_dict(first.state_dict())
    inputs = {"audio": Sequences(torch.randn(2, 3, 3), torch.ones(2, 3, dtype=torch.bool))}
    assert torch.equal(first(inputs), second(inputs))


def test_a_centered_modality_does_not_see_what_is_the_same_in_all_rows_of_a_clip():
    config = LSTMConfig(hidden_size=4, dense=4)
    model = Regressor(config, {"visual": 3}, ERI, centered=("visual",)).eval()
    values, mask = torch.randn(2, 5, 3), torch.tensor([[True] * 5, [True, False, True, True, False]])
    shifted = values + torch.tensor([[[4.0, -1.0, 2.0]], [[0.5, 3.0, -2.0]]])
    inputs, others = ({"visual": Sequences(rows, mask)} for rows in (values, shifted))
    assert torch.allclose(model(inputs), model(others), atol=1e-5)
    plain = Regressor(config, {"visual": 3}, ERI).eval()
    plain.load_state_dict(model.state_dict())
    assert not torch.allclose(plain(inputs), plain(others), atol=1e-3)


def test_a_masked_row_has_no_part_in_the_mean_of_its_clip():
    model = Regressor(LSTMConfig(hidden_size=4, dense=4), {"visual": 3}, ERI, centered=("visual",)).eval()
    values, mask = torch.randn(1, 4, 3), torch.tensor([[True, False, True, True]])
    garbage = values.clone()
    garbage[0, 1] = torch.nan
    assert torch.equal(model({"visual": Sequences(values, mask)}), model({"visual": Sequences(garbage, mask)}))
