"""The checks of a head let pass what keeps its promises, and name the one that is broken."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import eri
from eri.config import head_names
from eri.testing import CheckError, check_head
from eri.utils.errors import ConfigError


class MeanHead(eri.Head):
    """The mean of a clip's rows; a test's subclass breaks one promise of it."""

    def __init__(self, config: Any, dimensions: Any, labels: int) -> None:
        super().__init__()
        ((self.modality, size),) = dimensions.items()
        self.output = nn.Linear(size, labels)

    def mean(self, sequences: Any) -> Any:
        own = sequences[self.modality]
        return own.values.sum(1) / own.lengths.clamp(min=1)[:, None]

    def forward(self, sequences: Any) -> Any:
        return self.output(self.mean(sequences))


class HeedsPadding(MeanHead):
    def mean(self, sequences: Any) -> Any:
        return sequences[self.modality].values.mean(1)


class NotFinite(MeanHead):
    def mean(self, sequences: Any) -> Any:
        own = sequences[self.modality]
        return own.values.sum(1) / own.lengths[:, None]


class OneLength(MeanHead):
    def __init__(self, config: Any, dimensions: Any, labels: int) -> None:
        super().__init__(config, {"audio": 5}, labels)


class WrongShape(MeanHead):
    def forward(self, sequences: Any) -> Any:
        return super().forward(sequences)[..., 0]


class Detached(MeanHead):
    def __init__(self, config: Any, dimensions: Any, labels: int) -> None:
        super().__init__(config, dimensions, labels)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, sequences: Any) -> Any:
        return super().forward(sequences) * self.scale.detach()


class Forgets(MeanHead):
    def __init__(self, config: Any, dimensions: Any, labels: int) -> None:
        super().__init__(config, dimensions, labels)
        self.shift = torch.randn(labels)

    def forward(self, sequences: Any) -> Any:
        return super().forward(sequences) + self.shift


class Random(MeanHead):
    def forward(self, sequences: Any) -> Any:
        raw = super().forward(sequences)
        return raw + torch.randn_like(raw)


class NormalizesOverClips(MeanHead):
    def mean(self, sequences: Any) -> Any:
        found = super().mean(sequences)
        return found - found.mean(0)


FAULTS = {
    HeedsPadding: "depends on rows that are masked",
    NotFinite: "has an output that is not finite for a clip of 0 valid rows",
    OneLength: "fails: RuntimeError",
    WrongShape: r"returns \(4,\) from forward\(\) for 4 clips and 3 labels",
    Detached: "has a parameter that no gradient reaches: scale",
    Forgets: "has other outputs after its state_dict is loaded into another one",
    Random: "gives other outputs when it is called twice",
    NormalizesOverClips: "gives a clip of 7 valid rows another output beside longer clips than alone",
}


@pytest.mark.parametrize("thing", FAULTS, ids=lambda thing: thing.__name__)
def test_a_broken_promise_is_named(thing: type[MeanHead]) -> None:
    eri.register_head("own")(thing)
    with pytest.raises(CheckError, match=f"the head 'own' for embeddings of .* {FAULTS[thing]}") as caught:
        check_head("own")
    assert caught.value.hint


def test_a_head_of_a_plugin_passes() -> None:
    eri.register_head("own")(MeanHead)
    check_head("own", labels=2)


@pytest.mark.parametrize("name", [*head_names(fuses=False), *head_names(fuses=True)])
def test_our_own_pass(name: str) -> None:
    check_head(name)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("grru", "no model is named 'grru'"),
        ("lightgbm", "is no head"),
        ({"name": "gru", "hidden_size": 0}, "hidden_size"),
    ],
)
def test_what_is_no_head_is_named(config, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_head(config)
