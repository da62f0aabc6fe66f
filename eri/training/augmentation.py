"""Changes to the compacted, standardised sequences that training sees: mixup, noise, modalities that are left out.

They draw from torch's own generators, whose states are saved with every epoch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Beta

from eri.config import RegularizationConfig
from eri.models import Predictor, Regressor, Sequences


class Mixing:
    """With which clip of its batch each clip is mixed, and how much of it stays (Zhang et al. 2018, eq. 1).

    ``partner`` is int64 (clips,), positions in the batch; ``share`` float32 (clips,), in [0.5, 1], is that of the clip
    itself. Not a dataclass on purpose: Lightning Fabric would look into one and round the shares to bf16.
    """

    def __init__(self, partner: Tensor, share: Tensor) -> None:
        self.partner = partner
        self.share = share

    @classmethod
    def draw(cls, concentration: float, clips: int, device: torch.device) -> Mixing:
        """Draw partners, and shares from a Beta distribution with both parameters ``concentration``."""
        share = Beta(concentration, concentration).sample((clips,))
        return cls(torch.randperm(clips).to(device), torch.maximum(share, 1 - share).to(device))

    def mix(self, values: Tensor) -> Tensor:
        """Mix rows of labels or targets, (clips, labels)."""
        share = self.share[:, None]
        return share * values + (1 - share) * values[self.partner]

    def mix_sequences(self, own: Sequences) -> Sequences:
        """Mix sequences row by row, under the union of both masks.

        A row that only one of the two clips has is mixed with zeros, the mean of standardised features. Times are the
        clip's own where it has the row, else its partner's.
        """
        share = self.share[:, None, None]
        values = share * own.values + (1 - share) * own.values[self.partner]
        mask = own.mask | own.mask[self.partner]
        return Sequences(values, mask, torch.where(own.mask, own.times, own.times[self.partner]))


class TrainingPass(nn.Module, ABC):
    """One pass through a model as training sees it; the model's weights are the only ones."""

    def __init__(self, model: Predictor) -> None:
        super().__init__()
        self.model = model

    @abstractmethod
    def forward(self, inputs: Any, mixing: Mixing | None, targets: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return predictions and raw outputs, (clips, labels) each, and the model's own loss, if it has one.

        ``targets`` are the labels of a regression, (clips, labels), or one-hot classes.
        """


def add_noise(sequences: Sequences, deviation: float) -> Sequences:
    """Add Gaussian noise to the valid rows."""
    return sequences.with_values(sequences.values + deviation * torch.randn_like(sequences.values))


def drop_modalities(sequences: Mapping[str, Sequences], chance: float) -> dict[str, Sequences]:
    """Take all rows of a modality from some clips, each with the same chance, but never the last that a clip has."""
    present = torch.stack([own.present for own in sequences.values()], dim=1)
    draws = torch.rand(present.shape, device=present.device).masked_fill(~present, -1.0)
    kept = (draws >= chance) | (draws == draws.amax(dim=1, keepdim=True))
    result = {}
    for position, (name, own) in enumerate(sequences.items()):
        rest = Sequences(own.values, own.mask & kept[:, position, None], own.times)
        result[name] = rest.with_values(rest.values)
    return result


class HeadPass(TrainingPass):
    """A pass through a head, with the augmentation of its sequences that is switched on; it has no loss of its own."""

    def __init__(self, model: Regressor, config: RegularizationConfig) -> None:
        super().__init__(model)
        self.config = config

    def forward(
        self, inputs: Mapping[str, Sequences], mixing: Mixing | None, targets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """See :meth:`TrainingPass.forward`."""
        model = self.model
        assert isinstance(model, Regressor)
        sequences = model.prepare(inputs)
        if mixing is not None:
            sequences = {name: mixing.mix_sequences(own) for name, own in sequences.items()}
        if self.config.feature_noise:
            sequences = {name: add_noise(own, self.config.feature_noise) for name, own in sequences.items()}
        if self.config.modality_dropout:
            sequences = drop_modalities(sequences, self.config.modality_dropout)
        return *model.bounded(sequences), None
