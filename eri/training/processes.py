"""What several processes that train one model tell each other; nothing where there is only one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from eri.metrics.intensities import Floats

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Positions = NDArray[np.int64]
"""Indices of clips in the order of a loader's ids."""


@dataclass(frozen=True)
class Place:
    """One of several processes that train together.

    Attributes:
        rank: From 0; the first one writes the run folder.
        world: How many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes, and tells of its progress."""
        return self.rank == 0

    def own(self, batch: Positions) -> Positions:
        """Return the clips of a batch that this process takes; they may be none.

        Examples:
            >>> Place(1, 2).own(np.array([7, 3, 5])).tolist()
            [3]
        """
        return batch[self.rank :: self.world]


ALONE = Place()
"""The place of a process that trains by itself."""


def current_place() -> Place:
    """Return this process's place among those that ``torchrun`` started; the only one where it did not."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return ALONE
    return Place(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


def cut_batches(order: Positions, batch_size: int) -> list[Positions]:
    """Cut clips into batches; the last may have fewer."""
    return [order[first : first + batch_size] for first in range(0, len(order), batch_size)]


def plan_steps(order: Positions, batch_size: int, accumulate: int, least: int = 1) -> list[list[Positions]]:
    """Lay out an epoch: the batches of every step of the optimiser.

    Args:
        order: All clips, in the order that they are learnt from.
        batch_size: Clips a batch.
        accumulate: Batches a step; the last step may have fewer.
        least: Clips that a step must have; a last one with fewer is joined to the one before it.

    Examples:
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
        steps[-1] = [*steps[-1], *last]
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
