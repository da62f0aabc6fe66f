"""Random changes to the frames of train clips: mirrored, cropped, moved, rotated, brighter, with another contrast."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from eri.config import ClipAugmentationConfig

_MIDDLE = 127.0  # what a change of contrast leaves as it is (Haddad et al. 2020, section 3.2)


class ClipChanges(NamedTuple):
    """One change for each clip of a batch; every field but the offset is (clips,)."""

    flipped: Tensor
    scale: Tensor  # share of the side that is seen, in (0, 1]
    offset: Tensor  # of what is seen from the middle, (clips, 2) to the right and downwards, in half sides
    angle: Tensor  # in radians, counter-clockwise
    brightness: Tensor  # factor of all values
    contrast: Tensor  # factor of the distance to 127


def draw_changes(config: ClipAugmentationConfig, clips: int, generator: torch.Generator) -> ClipChanges:
    """Draw one change per clip, each part uniformly from its range.

    The draws are made on the generator's own device, so that one on the CPU gives the same everywhere; it moves on by
    the same amount whatever is switched on.
    """
    draws = torch.rand((clips, 9), generator=generator, device=generator.device)
    scale = config.crop + (1 - config.crop) * draws[:, 1]
    inside = (1 - scale)[:, None] * (2 * draws[:, 2:4] - 1)
    (dark, bright), (flat, strong) = config.brightness, config.contrast
    return ClipChanges(
        flipped=draws[:, 0] < config.flip,
        scale=scale,
        offset=inside + 2 * config.shift * (2 * draws[:, 4:6] - 1),
        angle=math.radians(config.rotation) * (2 * draws[:, 6] - 1),
        brightness=dark + (bright - dark) * draws[:, 7],
        contrast=flat + (strong - flat) * draws[:, 8],
    )


def change_clips(frames: Tensor, changes: ClipChanges) -> Tensor:
    """Mirror clips, resample them where they are moved, then change brightness and contrast.

    Takes uint8 or float on [0, 255], (clips, frames, channels, height, width), and returns float32 of that range and
    shape. What comes in from outside is black.

    >>> clips = torch.arange(6.0).view(1, 2, 1, 1, 3)
    >>> changes = draw_changes(ClipAugmentationConfig(flip=1.0), 1, torch.Generator())
    >>> change_clips(clips, changes).flatten().tolist()
    [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]
    """
    parts = (changes.flipped, changes.brightness, changes.contrast)
    flipped, brightness, contrast = (part.view(-1, 1, 1, 1, 1) for part in parts)
    values = frames.float()
    values = torch.where(flipped, values.flip(4), values)
    if bool(((changes.scale != 1) | (changes.offset != 0).any(dim=1) | (changes.angle != 0)).any()):
        values = _resample(values, changes)
    values = (values * brightness).clamp(0, 255)
    # Only where there is a change: α = 1 would not give every value back to the last bit.
    return torch.where(contrast == 1, values, _MIDDLE + contrast * (values - _MIDDLE)).clamp(0, 255)


def _resample(values: Tensor, changes: ClipChanges) -> Tensor:
    """Read frames at moved positions, bilinearly; a rotation turns about the middle, also of oblong frames."""
    clips, frames, channels, height, width = values.shape
    cosine, sine = changes.scale * torch.cos(changes.angle), changes.scale * torch.sin(changes.angle)
    rows = (cosine, -sine * height / width, changes.offset[:, 0], sine * width / height, cosine, changes.offset[:, 1])
    matrices = torch.stack(rows, dim=1).view(clips, 2, 3)
    grid = functional.affine_grid(matrices, [clips, channels, height, width], align_corners=False)
    # Zeros around the frame would darken the rim of a crop that ends there; so the black is drawn over.
    flat = functional.grid_sample(
        values.reshape(clips, frames * channels, height, width), grid, padding_mode="border", align_corners=False
    )
    outside = (grid.abs() > 1).any(dim=3)[:, None, None]
    return flat.view(values.shape).masked_fill(outside, 0.0)
