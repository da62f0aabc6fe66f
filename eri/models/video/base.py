"""What a video model is: a network from the images of clips to one raw output per label."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Channels = tuple[float, float, float]

IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
"""What networks trained on ImageNet subtract from red, green and blue on [0, 1]."""

IMAGENET_STD: Channels = (0.229, 0.224, 0.225)
"""What networks trained on ImageNet divide red, green and blue by afterwards."""


class VideoOutput(NamedTuple):
    """What a video model makes of a batch of clips; a named tuple, which Lightning Fabric and DDP can look into.

    Attributes:
        raw: (clips, labels), unbounded: logits, or what an activation bounds to intensities.
        embedding: (clips, dimension), the features before the last layer, for other models and for charts.
        parts: What an auxiliary loss or a chart reads, by name; the first axis of each is clips.
    """

    raw: Tensor
    embedding: Tensor
    parts: Mapping[str, Tensor] = MappingProxyType({})


@dataclass(frozen=True)
class PublishedCost:
    """What a paper states about a model's size and work, for ``eri profile``.

    Attributes:
        source: Paper and table.
        parameters: All of them, in millions; None where none are stated.
        macs: Multiply-accumulate operations for one clip, in 10^9; None where none are stated.
        explanation: Why the counts differ, as far as that is known, in a clause that stands alone.
    """

    source: str
    parameters: float | None = None
    macs: float | None = None
    explanation: str | None = None


class VideoModel(nn.Module, ABC):
    """A network that reads the frames of a clip.

    Attributes:
        dimension: Length of one embedding.
        frames: Frames that it reads of one clip.
        side: Height and width of one frame in pixels.
        mean: Subtracted from red, green and blue on [0, 1].
        std: Divides them afterwards.

    Args:
        dimension: As above.
        frames: As above.
        side: As above.
        mean: As above.
        std: As above.
    """

    def __init__(
        self,
        *,
        dimension: int,
        frames: int,
        side: int,
        mean: Channels = IMAGENET_MEAN,
        std: Channels = IMAGENET_STD,
    ) -> None:
        super().__init__()
        self.dimension, self.frames, self.side = dimension, frames, side
        self.mean, self.std = mean, std
        self._frozen: tuple[str, ...] = ()

    @abstractmethod
    def forward(self, pictures: Tensor) -> VideoOutput:
        """Read a batch of clips.

        Args:
            pictures: float (clips, frames, 3, side, side), RGB, normalised by ``mean`` and ``std``.
        """

    def choose_frames(self, available: int, generator: np.random.Generator | None) -> NDArray[np.int64]:
        """Choose which of a clip's cached frames the model reads.

        Args:
            available: How many frames the clip has, at least 1.
            generator: Draws frames at random, each at most once; None takes them evenly spread, for evaluation.

        Returns:
            Ascending positions, int64 (frames,), but for models that read overlapping pieces one after the other. A
            clip with fewer frames gives all, and its last one repeatedly.

        Raises:
            ValueError: The clip has no frame.
        """
        return spread_frames(available, self.frames, generator)

    def prepare(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Change the chosen frames of one clip before they are augmented and normalised; as they are by default.

        Args:
            pictures: RGB, (frames, side, side, 3).
        """
        return pictures

    def select(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the frames of one clip that the model reads in evaluation, prepared.

        Args:
            pictures: All frames of the clip, at least one, RGB, (frames, side, side, 3).
        """
        return self.prepare(pictures[self.choose_frames(len(pictures), None)])

    def auxiliary_loss(self, output: VideoOutput, targets: Tensor) -> Tensor | None:
        """Return what is added to the task's own loss, already weighted; None where there is nothing to add.

        Args:
            output: Of :meth:`forward`.
            targets: (clips, labels): one-hot or probabilities for classes, intensities for a regression.
        """
        return None

    @property
    def published(self) -> PublishedCost | None:
        """What its paper states about its size and work; None where it states nothing."""
        return None

    def freeze(self, *names: str) -> None:
        """Keep parts from learning: no gradient, and no change of their normalisations' statistics while training.

        Args:
            names: Of submodules.
        """
        self._frozen += names
        for name in names:
            self.get_submodule(name).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """See :meth:`torch.nn.Module.train`; frozen parts stay in evaluation mode."""
        super().train(mode)
        for name in self._frozen:
            self.get_submodule(name).eval()
        return self


def spread_frames(available: int, count: int, generator: np.random.Generator | None) -> NDArray[np.int64]:
    """Choose positions of frames: at random and sorted, or from the middles of equal parts.

    Args:
        available: Frames to choose from, at least 1.
        count: Frames wanted.
        generator: Draws without replacement; None spreads evenly.

    Returns:
        Ascending positions, int64 (count,); when there are fewer than wanted all, and the last one repeatedly.

    Raises:
        ValueError: There is no frame to choose from.

    Examples:
        >>> spread_frames(10, 4, None).tolist(), spread_frames(3, 5, None).tolist()
        ([1, 3, 6, 8], [0, 1, 2, 2, 2])
    """
    if available < 1:
        raise ValueError("a clip without frames has none to choose from")
    if available <= count:
        return np.minimum(np.arange(count, dtype=np.int64), available - 1)
    if generator is None:
        return ((2 * np.arange(count, dtype=np.int64) + 1) * available) // (2 * count)
    return np.sort(generator.choice(available, count, replace=False)).astype(np.int64)
