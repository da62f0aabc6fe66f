"""Batches of pictures: the frames that a video model reads of each clip, decoded from cached crops when needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eri.config import ClipAugmentationConfig
from eri.models.video import VideoModel
from eri.store.crops import CachedCrops
from eri.training.balancing import Change
from eri.training.checkpoint import derive_seed
from eri.training.clip_augmentation import change_clips, draw_changes, join_changes
from eri.training.stepping import Positions, cut_batches

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
