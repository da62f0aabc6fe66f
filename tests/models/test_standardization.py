"""Standardisation as the model applies it."""

from __future__ import annotations

import numpy as np
import torch

from eri.config import LSTMConfig
from eri.models import Regressor, Sequences, Standardizer
from eri.tasks import ERI


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
