"""What ``eri extract --compile`` gains: the network as extraction uses it, before and after it was compiled."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch

from benchmarks.harness import Row, alternate, seconds_of
from eri.config import Precision
from eri.models.backbones import create_backbone
from eri.models.compiling import REPAID_AFTER, CompiledLater
from eri.models.running import resolve_device

BATCH = 32
ROUNDS = 15


def run(quick: bool) -> list[Row]:
    """Time a full batch in both precisions, on a GPU where there is one."""
    return [_measure(precision, quick=quick) for precision in ("bf16", "float32")]


def _measure(precision: Precision, *, quick: bool) -> Row:
    name, side = ("resnet18", 64) if quick else ("resnet50", 224)
    device = resolve_device("auto")
    plain = create_backbone(
        name, weights="random", seed=0, input_size=side, precision=precision, device=device, frozen=True
    )
    # Compiling takes longer than all else that small sizes do.
    after = REPAID_AFTER if quick else 0.0
    compiled = replace(plain, model=CompiledLater(plain.model, BATCH, after))
    pictures = torch.randint(256, (BATCH, side, side, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    first = seconds_of(partial(compiled.embed, pictures))
    ours, reference = alternate(
        partial(compiled.embed, pictures), partial(plain.embed, pictures), 1 if quick else ROUNDS, warm_up=2
    )
    note = f"reference: not compiled; the first batch, which compiles, takes {first:.0f} s"
    return Row(f"{name}, {BATCH} pictures in {precision} on {device.type}: compiled", ours, reference, "s", None, note)
