"""A network that is compiled while it is at work: the same numbers, and no harm where that fails."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from eri.config import FaceConfig, ImageConfig, Runtime
from eri.data.clips import Clip
from eri.extraction.extractors.registry import create_extractor
from eri.models import compiling
from eri.models.backbones import create_backbone
from eri.models.compiling import CompiledLater
from eri.models.folding import FusedConvolution
from eri.models.running import forward_mode
from tests.factories.media import write_clip

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler is installed here"
)


class Counting(nn.Module):
    """Doubles its input and remembers the sizes it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(inputs))
        return inputs * 2


def test_nothing_is_compiled_before_it_is_repaid(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled too early"))
    network = Counting()
    later = CompiledLater(network, 4, after=3600.0)
    for size in (4, 4, 2):
        assert torch.equal(later(torch.ones(size)), torch.full((size,), 2.0))
    assert network.sizes == [4, 4, 2]


@pytest.mark.parametrize("error", [RuntimeError, torch._dynamo.exc.TorchDynamoException])
def test_a_network_that_cannot_be_compiled_goes_on_as_it_is(monkeypatch, caplog, error):
    def failing(*_, **__):
        def run(_inputs):
            raise error("no compiler\nand a long report")

        return run

    monkeypatch.setattr(torch, "compile", failing)
    later = CompiledLater(Counting(), 4, after=0.0)
    with caplog.at_level(logging.WARNING):
        results = [later(torch.ones(4)) for _ in range(3)]
    assert all(torch.equal(result, torch.full((4,), 2.0)) for result in results)
    assert [record.getMessage() for record in caplog.records] == [
        "the network is used as it is, since it cannot be compiled here: no compiler"
    ]


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_compiled_features_are_those_of_the_plain_network(tmp_path, monkeypatch, caplog, precision):
    monkeypatch.setattr(compiling, "REPAID_AFTER", 0.0)
    clips = [Clip(name, "train", video=write_clip(tmp_path / f"{name}.mp4", 1.0, audio=False)) for name in ("a", "b")]
    config = ImageConfig(
        extractor="test_resnet",
        weights="random",
        frames=3,
        input_size=64,
        precision=precision,
        faces=FaceConfig(detector="none"),
    )
    plain, compiled = (create_extractor(config, Runtime("cpu", batch_size=4, compiled=flag)) for flag in (False, True))
    prepared = [plain.preparer.prepare(clip) for clip in clips]
    with caplog.at_level(logging.INFO):
        found = np.concatenate(compiled.embed(prepared))
    expected = np.concatenate(plain.embed(prepared))
    assert "the network was compiled in" in caplog.text
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() >= (0.99999 if precision == "float32" else 0.999)
    assert compiled.identity() == plain.identity()


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_compiler_sees_the_whole_network(precision):
    if precision == "bf16" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN has no fused convolutions in bfloat16 for this processor")
    device = torch.device("cpu")
    backbone = create_backbone(
        "test_resnet", weights="random", seed=0, input_size=64, precision=precision, device=device, frozen=True
    )
    assert any(isinstance(module, FusedConvolution) for module in backbone.model.modules())
    with forward_mode(device, precision):
        explained = torch._dynamo.explain(backbone.model)(torch.randn(2, 3, 64, 64))
    assert (explained.graph_count, explained.graph_break_count) == (1, 0), explained.break_reasons
