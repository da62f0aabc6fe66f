"""Balancing classes by changed copies of train clips (Haddad, Lézoray & Hamel 2020, sections 3.2, 4.1 and 4.2).

Which copies there are is decided before training, by the clip's id and a seed: the same in every epoch, on every
machine, and whatever other clips there are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eri.config.training import BalancingConfig, Copies
from eri.utils.errors import ConfigError

_GEOMETRIC_SHARE = 2 / 3  # of the copies beside the flip: they help more than photometric ones (section 4.1)


@dataclass(frozen=True)
class Change:
    """How a copy differs from its clip, the same for all its frames.

    ``value`` is the degrees counter-clockwise of a rotation, or the factor of a contrast.
    """

    kind: Literal["none", "flip", "rotation", "contrast"] = "none"
    value: float = 0.0

    def apply(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Change the frames of a clip, RGB, (frames, height, width, 3).

        What a rotation brings in from outside is black. A contrast moves every value to ``127 + α (v - 127)``.
        """
        match self.kind:
            case "none":
                return frames
            case "flip":
                return np.ascontiguousarray(frames[:, :, ::-1])
            case "rotation":
                return _rotate(frames, self.value)
            case "contrast":
                values = np.clip(np.rint(127 + self.value * (np.arange(256) - 127)), 0, 255)
                changed: NDArray[np.uint8] = values.astype(np.uint8)[frames]
                return changed


@dataclass(frozen=True)
class Sample:
    """One clip as training sees it: its position among those that were laid out, and what makes the copy."""

    position: int
    change: Change


def plan_copies(classes: Sequence[str], config: BalancingConfig) -> dict[str, Copies]:
    """Decide how many copies the clips of each class get, from the class of every train clip.

    With ``even``, a clip of the largest class becomes ``base`` clips, and one of any other as many as bring its class
    nearest to the same number. Raises ConfigError where counts are given for a class that no clip has, while none is
    given for one that clips have.

    >>> plan = plan_copies(["Surprise"] * 83 + ["Contempt"] * 18, BalancingConfig())
    >>> plan["Surprise"].total * 83, plan["Contempt"].total * 18
    (249, 252)
    """
    counts = Counter(classes)
    if config.copies == "even":
        most = max(counts.values(), default=0) * config.base
        return {name: _share_out(max(1, round(most / count))) for name, count in sorted(counts.items())}
    unknown, unnamed = sorted(set(config.copies) - set(counts)), sorted(set(counts) - set(config.copies))
    if unknown and unnamed:
        raise ConfigError(
            f"balancing.copies names {', '.join(unknown)}, which no train clip is of; the clips are of "
            f"{', '.join(sorted(counts))}",
            hint=f"Give counts for {', '.join(unnamed)} under their own names, or copies: even.",
        )
    return {name: config.copies.get(name, config.others) for name in sorted(counts)}


def lay_out(ids: Sequence[str], classes: Sequence[str], config: BalancingConfig, seed: int) -> tuple[Sample, ...]:
    """List the train clips, each followed by its copies; seed, id and number of the copy decide angle or factor."""
    plan = plan_copies(classes, config)
    return tuple(
        Sample(position, change)
        for position, (clip, name) in enumerate(zip(ids, classes, strict=True))
        for change in _changes(clip, plan[name], config, seed)
    )


def _changes(clip: str, copies: Copies, config: BalancingConfig, seed: int) -> Iterator[Change]:
    key = int.from_bytes(hashlib.sha256(clip.encode()).digest()[:8], "big")
    yield Change()
    for _ in range(copies.flip):
        yield Change("flip")
    for number in range(copies.rotation):
        angle = np.random.default_rng([seed, key, 0, number]).uniform(-config.rotation, config.rotation)
        yield Change("rotation", float(angle))
    for number in range(copies.contrast):
        yield Change("contrast", float(np.random.default_rng([seed, key, 1, number]).uniform(*config.contrast)))


def _share_out(total: int) -> Copies:
    """Share out clips beside the original: a flip first, then rotations and contrasts as 2 to 1."""
    rest = max(0, total - 2)
    rotations = round(rest * _GEOMETRIC_SHARE)
    return Copies(flip=min(1, total - 1), rotation=rotations, contrast=rest - rotations)


def _rotate(frames: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    import cv2

    height, width = frames.shape[1:3]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    rotated = np.empty_like(frames)
    for row, frame in enumerate(frames):
        rotated[row] = cv2.warpAffine(frame, turn, (width, height), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0))
    return rotated
