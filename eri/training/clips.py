"""Batches of pictures: the frames that a video model reads of each clip, decoded from cached crops when needed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from eri.config import ClipAugmentationConfig
from eri.features.crops import CachedCrops
from eri.models.video import VideoModel
from eri.training.balancing import Change
from eri.training.checkpoint import derive_seed
from eri.training.processes import Positions, cut_batches

_MIDDLE = 127.0
"""What a change of contrast leaves as it is (Haddad et al. 2020, section 3.2)."""


class ClipChanges:
    """One change for each clip of a batch; every attribute is (clips,), or (clips, 2).

    Not a dataclass on purpose: Lightning Fabric would look into one and round the values to bf16.

    Attributes:
        flipped: bool.
        scale: Share of the side that is seen, in (0, 1].
        offset: How far what is seen lies from the middle, (clips, 2) to the right and downwards, in half sides.
        angle: Of the turn, in radians, counter-clockwise.
        brightness: Factor of all values.
        contrast: Factor of the distance to 127.
    """

    def __init__(
        self,
        *,
        flipped: Tensor,
        scale: Tensor,
        offset: Tensor,
        angle: Tensor,
        brightness: Tensor,
        contrast: Tensor,
    ) -> None:
        self.flipped = flipped
        self.scale = scale
        self.offset = offset
        self.angle = angle
        self.brightness = brightness
        self.contrast = contrast


def draw_changes(
    config: ClipAugmentationConfig, clips: int, generator: torch.Generator, device: torch.device | None = None
) -> ClipChanges:
    """Draw one change a clip, each part uniformly from its range.

    Args:
        config: The ranges.
        clips: How many.
        generator: Of the draws; they are made on its own device, so that one on the CPU gives the same everywhere.
        device: Where the changes are needed; None is the generator's.
    """
    draws = torch.rand((clips, 9), generator=generator, device=generator.device).to(device or generator.device)
    scale = config.crop + (1 - config.crop) * draws[:, 1]
    inside = (1 - scale)[:, None] * (2 * draws[:, 2:4] - 1)
    return ClipChanges(
        flipped=draws[:, 0] < config.flip,
        scale=scale,
        offset=inside + 2 * config.shift * (2 * draws[:, 4:6] - 1),
        angle=math.radians(config.rotation) * (2 * draws[:, 6] - 1),
        brightness=_between(config.brightness, draws[:, 7]),
        contrast=_between(config.contrast, draws[:, 8]),
    )


def join_changes(changes: Sequence[ClipChanges], device: torch.device) -> ClipChanges:
    """Join the changes of several batches to those of one.

    Args:
        changes: At least one.
        device: Where they are needed.
    """
    return ClipChanges(
        **{name: torch.cat([getattr(own, name) for own in changes]).to(device) for name in vars(changes[0])}
    )


def change_clips(pictures: Tensor, changes: ClipChanges) -> Tensor:
    """Mirror clips, sample them anew where they are moved, then change brightness and contrast.

    What comes in from outside is black. Values stay within [0, 255].

    Args:
        pictures: uint8 or float on [0, 255], (clips, frames, channels, height, width).
        changes: One a clip, on the same device.

    Returns:
        float32, the same shape.
    """
    values = pictures.float()
    values = torch.where(_per_clip(changes.flipped), values.flip(4), values)
    if bool(((changes.scale != 1) | (changes.offset != 0).any(dim=1) | (changes.angle != 0)).any()):
        values = _sample(values, changes)
    values = (values * _per_clip(changes.brightness)).clamp(0, 255)
    # Only where there is a change: α = 1 would not give every value back to the last bit.
    contrast = _per_clip(changes.contrast)
    return torch.where(contrast == 1, values, _MIDDLE + contrast * (values - _MIDDLE)).clamp(0, 255)


def augment_clips(pictures: Tensor, config: ClipAugmentationConfig, generator: torch.Generator) -> Tensor:
    """Change each clip of a batch by a draw of its own.

    Args:
        pictures: uint8 or float on [0, 255], (clips, frames, channels, height, width).
        config: The ranges.
        generator: Of the draws; it moves on by the same amount whatever is switched on.

    Returns:
        float32 on [0, 255], the same shape.

    Examples:
        >>> clips = torch.arange(6.0).view(1, 2, 1, 1, 3)
        >>> augment_clips(clips, ClipAugmentationConfig(flip=1.0), torch.Generator()).flatten().tolist()
        [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]
    """
    return change_clips(pictures, draw_changes(config, len(pictures), generator, pictures.device))


def _between(bounds: tuple[float, float], draws: Tensor) -> Tensor:
    low, high = bounds
    return low + (high - low) * draws


def _per_clip(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1, 1)


def _sample(values: Tensor, changes: ClipChanges) -> Tensor:
    """Read pictures at moved positions, bilinearly; a rotation turns about the middle, also of oblong pictures."""
    clips, frames, channels, height, width = values.shape
    cosine, sine = changes.scale * torch.cos(changes.angle), changes.scale * torch.sin(changes.angle)
    rows = (cosine, -sine * height / width, changes.offset[:, 0], sine * width / height, cosine, changes.offset[:, 1])
    matrices = torch.stack(rows, dim=1).view(clips, 2, 3)
    grid = functional.affine_grid(matrices, [clips, channels, height, width], align_corners=False)
    # Zeros around the picture would darken the rim of a crop that ends there; so the black is drawn over.
    flat = functional.grid_sample(
        values.reshape(clips, frames * channels, height, width), grid, padding_mode="border", align_corners=False
    )
    outside = (grid.abs() > 1).any(dim=3)[:, None, None]
    return flat.view(values.shape).masked_fill(outside, 0.0)


_THREADS = 4
_BATCHES_AHEAD = 2

Pictures = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ClipLoader:
    """Serve the pictures of clips as a video model takes them.

    In an epoch every clip's frames and changes are drawn from the seed, the epoch and the clip's place, so they depend
    neither on the clips beside it nor on how often the run was interrupted. Outside of one, the frames are those of
    evaluation and nothing is changed.

    Attributes:
        crops: The cached pictures.
        ids: The clips; with balanced classes one may be there several times.
        network: Says which frames it reads and how they are prepared.
        batch_size: Clips a batch, where none are asked for.
        device: Where batches are needed.
        changes: What makes each of ``ids`` a copy of its clip; None where all are the clips themselves.
        augmentation: Drawn anew for each clip and epoch.
        seed: Of the draws.
        epoch: Counted from 1; None outside of one.
    """

    crops: CachedCrops
    ids: tuple[str, ...]
    network: VideoModel
    batch_size: int
    device: torch.device
    changes: tuple[Change, ...] | None = None
    augmentation: ClipAugmentationConfig | None = None
    seed: int = 0
    epoch: int | None = None

    def at(self, epoch: int) -> ClipLoader:
        """Return what serves an epoch, counted from 1."""
        return replace(self, epoch=epoch)

    def batches(self, batches: Sequence[Positions] | None = None) -> Iterator[tuple[Positions, Tensor]]:
        """Serve batches; the next ones are decoded in threads meanwhile.

        Args:
            batches: Indices into ``ids`` for each; None goes over all once, in their order.

        Yields:
            The indices, and pictures on [0, 255], (clips, frames, 3, side, side), uint8 or float32.

        Raises:
            StoreError: The cached crops of a clip do not prove themselves.
        """
        if batches is None:
            batches = cut_batches(np.arange(len(self.ids)), self.batch_size)
        waiting: deque[tuple[Positions, list[Future[Pictures]]]] = deque()
        with ThreadPoolExecutor(_THREADS) as pool:
            try:
                for positions in batches:
                    waiting.append((positions, [pool.submit(self._read, int(place)) for place in positions]))
                    if len(waiting) > _BATCHES_AHEAD:
                        yield self._served(*waiting.popleft())
                while waiting:
                    yield self._served(*waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def _read(self, place: int) -> Pictures:
        """Return the frames that the model reads of one clip, (frames, side, side, 3)."""
        clip_id = self.ids[place]
        chosen = self.network.choose_frames(int(self.crops.counts([clip_id])[0]), self._generator(place))
        pictures = self.crops.read_frames(clip_id, chosen)
        if self.changes is not None:
            pictures = self.changes[place].apply(pictures)
        return self.network.prepare(pictures)

    def _generator(self, place: int) -> np.random.Generator | None:
        return None if self.epoch is None else np.random.default_rng([self.seed, self.epoch, place, 0])

    def _served(self, positions: Positions, coming: list[Future[Pictures]]) -> tuple[Positions, Tensor]:
        pictures = torch.from_numpy(np.stack([clip.result() for clip in coming]))
        pictures = pictures.to(self.device).permute(0, 1, 4, 2, 3).contiguous()
        if self.epoch is None or self.augmentation is None or not self.augmentation.active:
            return positions, pictures
        draws = [draw_changes(self.augmentation, 1, self._torch_generator(int(place))) for place in positions]
        return positions, change_clips(pictures, join_changes(draws, self.device))

    def _torch_generator(self, place: int) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.seed, self.epoch or 0, place, 1))
