"""Frozen networks compute what the networks do, in fewer steps, or are the networks themselves."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from eri.models import folding
from eri.models.backbones import create_backbone
from eri.models.folding import FusedConvolution, freeze
from eri.models.running import forward_mode

CPU = torch.device("cpu")
FUSED = {"float32": True, "bf16": torch.ops.mkldnn._is_mkldnn_bf16_supported()}
"""Whether oneDNN has fused convolutions of a precision for this processor; without, networks are used as they are."""


def lively(model: nn.Module) -> nn.Module:
    """Return the model with normalisations that do something: other than a mean of 0, a deviation and scale of 1."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias):
                nn.init.normal_(tensor, std=0.2, generator=generator)  # type: ignore[arg-type]
            for tensor in (module.running_var, module.weight):
                nn.init.uniform_(tensor, 0.5, 1.5, generator=generator)  # type: ignore[arg-type]
    return model.eval()


def count(model: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in model.modules())


def run(model: nn.Module, pictures: Tensor, precision: str = "float32") -> Tensor:
    with forward_mode(CPU, precision):  # type: ignore[arg-type]
        found: Tensor = model(pictures.contiguous(memory_format=torch.channels_last)).double()
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "normalisations", "fused"),
    [
        ("resnet18", 0, 17),
        ("densenet121", 62, 59),
        ("vgg11", 0, 8),
        ("test_efficientnet", 0, 0),
        ("mobilenetv3_small_050", 0, 14),
        ("legacy_seresnet18", 0, 28),
    ],
)
@pytest.mark.parametrize(("precision", "least"), [("float32", 0.99999), ("bf16", 0.999)])
def test_the_same_numbers_in_fewer_steps(name, normalisations, fused, precision, least):
    torch.manual_seed(0)
    model = lively(timm.create_model(name, num_classes=0))
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    frozen = freeze(model, precision, 64)
    pictures = torch.randn(3, 3, 64, 64)
    assert cosine_similarity(run(frozen, pictures, precision), run(model, pictures)).min() >= least
    if not FUSED[precision]:
        pytest.skip("oneDNN has no fused convolutions in bfloat16 for this processor")
    assert count(frozen, nn.BatchNorm2d) == normalisations
    assert count(frozen, FusedConvolution) == fused
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_rows_do_not_depend_on_their_batch(precision):
    torch.manual_seed(0)
    frozen = freeze(lively(timm.create_model("resnet18", num_classes=0)), precision, 64)
    pictures = torch.randn(9, 3, 64, 64)
    together = run(frozen, pictures, precision)
    alone = torch.cat([run(frozen, pictures[row : row + 1], precision) for row in range(9)])
    assert cosine_similarity(together, alone).min() >= (0.999999 if precision == "float32" else 0.9999)


@pytest.mark.parametrize("name", ["test_vit", "test_convnext"])
def test_a_network_with_nothing_to_gain_is_left_alone(name):
    model = timm.create_model(name, num_classes=0).eval()
    assert freeze(model, "float32", 160) is model


class Winding(nn.Module):
    """A network whose way depends on what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.normalisation = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.normalisation(self.convolution(pictures))
        found: Tensor = maps.mean((2, 3)) if pictures.mean() > 0 else maps.amax((2, 3))
        return found


class Knotted(nn.Module):
    """A network that uses a convolution twice, one's result twice, sums with itself, and pads by reflection."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.after = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.split, self.other = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.mirrored = nn.Conv2d(3, 5, 3, padding=1, padding_mode="reflect")
        self.same = nn.Conv2d(5, 5, 3, padding="same")

    def forward(self, pictures: Tensor) -> Tensor:
        maps = self.shared(torch.relu(self.after(self.shared(pictures))))
        maps = self.split(maps)
        maps = torch.relu(self.other(maps) + maps)
        maps = torch.relu(maps + maps)
        maps = torch.relu(self.same(torch.relu(self.mirrored(maps))))
        return torch.relu(1 + maps).mean((2, 3))


def test_a_network_that_cannot_be_traced_is_left_alone():
    model = Winding().eval()
    assert freeze(model, "float32", 32) is model


def test_what_cannot_be_folded_safely_stays():
    model = lively(Knotted())
    frozen = freeze(model, "float32", 32)
    pictures = torch.randn(2, 3, 32, 32)
    assert torch.allclose(run(frozen, pictures), run(model, pictures), rtol=1e-5, atol=1e-6)


def test_a_step_that_computes_something_else_is_not_used(monkeypatch):
    class Wrong(FusedConvolution):
        def forward(self, pictures: Tensor, other: Tensor | None = None) -> Tensor:
            return -super().forward(pictures, other)

    monkeypatch.setattr(folding, "FusedConvolution", Wrong)
    model = lively(timm.create_model("resnet18", num_classes=0))
    assert freeze(model, "float32", 64) is model


@pytest.mark.slow
def test_backbones_are_frozen_only_when_asked():
    settings = {"weights": "random", "seed": 0, "input_size": 64, "precision": "float32", "device": CPU}
    plain, frozen = (create_backbone("test_resnet", frozen=frozen, **settings) for frozen in (False, True))  # type: ignore[arg-type]
    assert count(plain.model, nn.BatchNorm2d) > 0
    assert plain.identity() | {"batch_norm": "folded"} == frozen.identity()
    pictures = torch.randint(0, 256, (4, 3, 64, 64))
    assert cosine_similarity(plain.embed(pictures), frozen.embed(pictures)).min() >= 0.99999
    without = [create_backbone("vgg11", frozen=frozen, **settings) for frozen in (False, True)]  # type: ignore[arg-type]
    assert without[0].identity() == without[1].identity()
    assert torch.equal(without[0].embed(pictures), without[1].embed(pictures))
