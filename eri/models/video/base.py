"""What a video model is: a network from the frames of clips to one raw output per label; and what several share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from eri.models.video.sampling import Indices, spread_frames
from eri.weights import given_weights, load_into, load_state_dict
from eri.weights.registry import IMAGENET_MEAN, IMAGENET_STD, Channels


class VideoOutput(NamedTuple):
    """What a video model makes of a batch of clips; a named tuple, which Lightning Fabric and DDP can look into."""

    raw: Tensor  # (clips, labels), unbounded: logits, or what an activation bounds to intensities
    embedding: Tensor  # (clips, dimension), the features before the last layer
    parts: Mapping[str, Tensor] = MappingProxyType({})  # (clips, ...), what an auxiliary loss or a chart reads


@dataclass(frozen=True)
class PublishedCost:
    """What a paper states about a model's size and work, for ``eri profile``."""

    source: str  # paper and table
    parameters: float | None = None  # in millions
    macs: float | None = None  # multiply-accumulate operations for one clip, in 10^9
    explanation: str | None = None  # why the counts differ, in a clause that stands alone


class VideoModel(nn.Module, ABC):
    """A network that reads ``frames`` frames of a clip, of ``side`` × ``side`` pixels.

    ``mean`` is subtracted from red, green and blue on [0, 1], ``std`` divides them afterwards; ``dimension`` is the
    length of an embedding.
    """

    published: PublishedCost | None = None
    """What its paper states about its size and work."""

    def __init__(
        self, *, dimension: int, frames: int, side: int, mean: Channels = IMAGENET_MEAN, std: Channels = IMAGENET_STD
    ) -> None:
        super().__init__()
        self.dimension, self.frames, self.side = dimension, frames, side
        self.mean, self.std = mean, std
        self._frozen: tuple[str, ...] = ()

    @abstractmethod
    def forward(self, frames: Tensor) -> VideoOutput:
        """Read clips: float RGB (clips, frames, 3, side, side), normalised by ``mean`` and ``std``."""

    def choose_frames(self, available: int, generator: np.random.Generator | None) -> Indices:
        """Choose which of a clip's cached frames the model reads: evenly spread, or drawn at random by a generator.

        Positions ascend, but for models that read overlapping pieces one after the other. A clip with fewer frames
        gives all, and its last one repeatedly; ValueError where it has none.
        """
        return spread_frames(available, self.frames, generator)

    def prepare(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Change the chosen RGB frames of a clip, (frames, side, side, 3), before augmentation and normalisation."""
        return frames

    def select(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return, of all RGB frames of a clip, those that the model reads in evaluation, prepared."""
        return self.prepare(frames[self.choose_frames(len(frames), None)])

    def auxiliary_loss(self, output: VideoOutput, targets: Tensor) -> Tensor | None:
        """Return what is added to the task's own loss, already weighted; None where there is nothing to add.

        Targets are (clips, labels): one-hot or probabilities for classes, intensities for a regression.
        """
        return None

    def freeze(self, *names: str) -> None:
        """Keep submodules from learning: no gradient, and no change of their normalisations' statistics."""
        self._frozen += names
        for name in names:
            self.get_submodule(name).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """See :meth:`torch.nn.Module.train`; frozen parts stay in evaluation mode."""
        super().train(mode)
        for name in self._frozen:
            self.get_submodule(name).eval()
        return self


def run_block(block: nn.Module, values: Tensor, *, recompute: bool) -> Tensor:
    """Run one block of a network.

    With ``recompute`` only ``values`` are kept for the gradient, and the block runs again then (Chen et al. 2016).
    Batch normalisations learn their statistics in the first run alone, so that results do not differ.
    """
    if not (recompute and torch.is_grad_enabled() and values.is_floating_point()):
        result: Tensor = block(values)
        return result
    again: Tensor = checkpoint(
        block, values, use_reentrant=False, context_fn=lambda: (nullcontext(), _statistics_kept(block))
    )
    return again


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    # With momentum 0 the layer runs as in the first pass, saving the same tensors, but moves no statistic.
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, counter) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter


def fill_backbone(model: nn.Module, weights: str, *, name: str, ignore: tuple[str, ...]) -> None:
    """Give a backbone its weights: the registered ones of a name if ``pretrained``, its own if ``random``, or a path's.

    ``ignore`` are prefixes of keys that a checkpoint may have and the model need not, such as a classifier's.
    """
    if weights != "random":
        path = given_weights(weights, name, option="model.weights")
        load_into(model, load_state_dict(path), origin=str(path), ignore=ignore)
