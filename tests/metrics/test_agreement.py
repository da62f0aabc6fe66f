"""The official metric beside other implementations: scipy and torchmetrics in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from torchmetrics.functional import pearson_corrcoef

from eri.metrics.intensities import pearson


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-6], ids=["random", "narrow", "nearly-constant"])
@pytest.mark.parametrize("clips", [20, 4657])
def test_pearson_is_that_of_scipy_and_torchmetrics(clips, spread):
    generator = np.random.default_rng(clips)
    labels = generator.uniform(size=(clips, 7))
    predictions = 0.5 + spread * (0.3 * labels + generator.normal(size=labels.shape))
    ours = pearson(predictions, labels)
    scipys = [pearsonr(predictions[:, column], labels[:, column]).statistic for column in range(7)]
    torchs = pearson_corrcoef(torch.from_numpy(predictions), torch.from_numpy(labels)).numpy()
    np.testing.assert_allclose(ours, scipys, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours, torchs, rtol=0, atol=1e-10)
