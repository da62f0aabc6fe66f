"""What several processes that train one model tell each other; nothing where there is only one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from eri.config import Precision
from eri.metrics.intensities import Floats

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_NAMES: dict[Precision, Literal["bf16-mixed", "32-true"]] = {"bf16": "bf16-mixed", "float32": "32-true"}

Positions = NDArray[np.int64]  # indices of clips in the order of a loader's ids


@dataclass(frozen=True)
class ProcessRank:
    """One of several processes that train together; the first, of index 0, writes the run folder."""

    index: int = 0
    world_size: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes the run folder and reports progress."""
        return self.index == 0

    def own(self, batch: Positions) -> Positions:
        """Return the clips of a batch that this process takes; they may be none.

        >>> ProcessRank(1, 2).own(np.array([7, 3, 5])).tolist()
        [3]
        """
        return batch[self.index :: self.world_size]


def current_rank() -> ProcessRank:
    """Return this process's rank among those that ``torchrun`` started; the only one where it did not."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return ProcessRank()
    return ProcessRank(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def cut_batches(order: Positions, batch_size: int) -> list[Positions]:
    """Cut clips into batches; the last may have fewer."""
    return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]


def plan_steps(order: Positions, batch_size: int, accumulate: int, least: int = 1) -> list[list[Positions]]:
    """Lay out an epoch over the clips in their order: the batches of every step of the optimiser, ``accumulate`` each.

    The last step may have fewer; where it has fewer than ``least`` clips, it is joined to the one before it.

    >>> [[len(batch) for batch in step] for step in plan_steps(np.arange(9), 4, 1)]
    [[4], [4], [1]]
    >>> [[len(batch) for batch in step] for step in plan_steps(np.arange(9), 4, 1, least=2)]
    [[4], [4, 1]]
    >>> [[len(batch) for batch in step] for step in plan_steps(np.arange(9), 4, 2)]
    [[4, 4], [1]]
    """
    batches = cut_batches(order, batch_size)
    steps = [batches[first : first + accumulate] for first in range(0, len(batches), accumulate)]
    if len(steps) > 1 and sum(map(len, steps[-1])) < least:
        last = steps.pop()
        steps[-1] += last
    return steps


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


def share_buffers(model: nn.Module, rank: ProcessRank) -> None:
    """Give every process the first one's buffers: each has seen other clips, and its own statistics of them."""
    if rank.world_size > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, src=0)


def joined() -> bool:
    """Return whether this process is in a group with others already."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def end_processes() -> None:
    """Leave the group of processes, if there is one."""
    if joined():
        torch.distributed.destroy_process_group()


def choose_precision(wanted: Literal["auto", "float32", "bf16"], device: torch.device) -> Precision:
    """Return the precision of training; ``auto`` is bf16 on a CUDA device that computes in it, else float32."""
    if wanted != "auto":
        return wanted
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def create_fabric(device: torch.device, precision: Precision) -> Fabric:
    """Return the Fabric of one device; bf16 is mixed: weights stay float32."""
    from lightning_fabric import Fabric  # imports much of torch; only training needs it

    devices = 1 if device.type == "cpu" else [device.index]
    return Fabric(accelerator=device.type, devices=devices, precision=_NAMES[precision])


def join_processes(device: torch.device, precision: Precision) -> Fabric:
    """Return the Fabric of the processes that ``torchrun`` started, once all of them are there.

    The device is what the first one would train on; each process of a machine takes the CUDA device of its number.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    local = int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator=device.type,
        devices=local,
        num_nodes=int(os.environ["WORLD_SIZE"]) // local,
        # A modality that is dropped, or a loss that is switched off, leaves parameters without a gradient.
        strategy=DDPStrategy(find_unused_parameters=True),
        precision=_NAMES[precision],
    )
    fabric.launch()
    return fabric
