"""What ``eri extract --compile`` gains: the network as extraction uses it, before and after it was compiled."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from benchmarks.harness import Row, alternate, seconds_of
from eri.extractors.backbone import create_backbone
from eri.extractors.compiling import REPAID_AFTER, CompiledLater

BATCH = 32
ROUNDS = 15


def run(quick: bool) -> list[Row]:
    """Time a full batch in both precisions, on a GPU where there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return [_measure(precision, device, quick=quick) for precision in ("bf16", "float32")]


def _measure(precision: Literal["bf16", "float32"], device: torch.device, *, quick: bool) -> Row:
    name, side = ("resnet18", 64) if quick else ("resnet50", 224)
    backbone = create_backbone(
        name, weights="random", seed=0, input_size=side, precision=precision, device=device, frozen=True
    )
    pictures = torch.randn(BATCH, 3, side, side, device=device, dtype=next(backbone.model.parameters()).dtype)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    # Compiling takes longer than all else that small sizes do.
    compiled = CompiledLater(backbone.model, BATCH, after=REPAID_AFTER if quick else 0.0)
    first = seconds_of(lambda: _embed(compiled, pictures))
    ours, reference = alternate(
        lambda: _embed(compiled, pictures), lambda: _embed(backbone.model, pictures), 1 if quick else ROUNDS, warm_up=2
    )
    note = f"reference: not compiled; the first batch, which compiles, takes {first:.0f} s"
    return Row(f"{name}, {BATCH} pictures in {precision} on {device.type}: compiled", ours, reference, "s", None, note)


def _embed(network: nn.Module, pictures: Tensor) -> None:
    with torch.inference_mode():
        network(pictures)
    if pictures.is_cuda:
        torch.cuda.synchronize()
