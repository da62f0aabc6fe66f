"""What several processes that train one model tell each other; nothing where there is only one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import nn

from eri.metrics import Floats
from eri.training.stepping import Place

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Summed = TypeVar("Summed", float, Floats)


def gather_sums(fabric: Fabric, values: Summed) -> Summed:
    """Return the sum over all processes of numbers that each has, the same in every one."""
    if fabric.world_size == 1:
        return values
    whole = torch.as_tensor(values, dtype=torch.float64, device=fabric.device)
    summed = fabric.all_reduce(whole, reduce_op="sum")
    assert isinstance(summed, torch.Tensor)
    if isinstance(values, float):
        return float(summed)
    result: Floats = np.asarray(summed.cpu().numpy())
    return result


def share_buffers(model: nn.Module, place: Place) -> None:
    """Give every process the first one's buffers: each has seen other clips, and its own statistics of them."""
    if place.world == 1:
        return
    for buffer in model.buffers():
        torch.distributed.broadcast(buffer, src=0)


def joined() -> bool:
    """Return whether this process is in a group with others already."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def end_processes() -> None:
    """Leave the group of processes, if there is one."""
    if joined():
        torch.distributed.destroy_process_group()
