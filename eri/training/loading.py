"""Batches of clips: embeddings gathered chunk by chunk, and frames decoded from cached face crops."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eri.config import ClipAugmentationConfig
from eri.features.crops import CachedCrops
from eri.metrics.intensities import Floats
from eri.models import Predictor, Sequences
from eri.models.video import VideoModel
from eri.training.balancing import Change
from eri.training.checkpoint import derive_seed
from eri.training.features import FeatureSet, ModalityFeatures, VersionedFeatures
from eri.training.image_augmentation import ClipChanges, change_clips, draw_changes
from eri.training.processes import Positions

BUDGET = 2 << 30
"""Bytes of features held in memory at once when a config leaves ``chunk`` open."""


class BatchSource(Protocol):
    """What serves batches of clips."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The clips; one may be there several times."""

    def at(self, epoch: int) -> BatchSource:
        """Return what serves the train clips of an epoch, counted from 1."""

    def batches(self, batches: Sequence[Positions]) -> Iterator[tuple[Positions, Any]]:
        """Yield batches of indices into ``ids``, each with what a model takes of these clips."""


class _Rows(NamedTuple):
    """The valid rows of some clips on one device, values and seconds; on the CPU, where each begins and how many."""

    values: Tensor
    times: Tensor
    starts: Tensor
    counts: Tensor

    def pad(self, chosen: Tensor) -> Sequences:
        """Pad the clips at some positions to one length."""
        # All of it is worked out on the CPU, so that nothing waits for the device.
        counts = self.counts[chosen]
        steps = torch.arange(max(1, int(counts.max())))
        mask = steps < counts[:, None]
        address = torch.where(mask, self.starts[chosen][:, None] + steps, 0)
        device = self.values.device
        flat = address.flatten().to(device, non_blocking=True)
        values = self.values.index_select(0, flat).view(*address.shape, *self.values.shape[1:])
        times = self.times.index_select(0, flat).view(address.shape)
        return Sequences(values, mask.to(device, non_blocking=True), times, counts)


_Chunk = dict[str, _Rows]
"""Some clips whose features are in the memory of one device, by modality."""


class Loader:
    """Serve batches of the embeddings of a fixed list of clips, in any order.

    A chunk holds whole batches, so its size changes memory and speed, not numbers; None takes as many clips as fit
    :data:`BUDGET`. Clips that fit one chunk are read once and stay. With ``versions`` of some modalities' embeddings,
    each clip has one of them or the plain one in every epoch, each as likely, drawn from the seed and the epoch's
    number: so they do not depend on how often the run was interrupted.
    """

    def __init__(
        self,
        features: FeatureSet,
        ids: Sequence[str],
        *,
        batch_size: int,
        chunk: int | None = None,
        device: torch.device | None = None,
        versions: Mapping[str, Sequence[ModalityFeatures]] | None = None,
        seed: int = 0,
    ) -> None:
        self.ids: tuple[str, ...] = tuple(ids)
        self._features, self._batch_size, self._chunk, self._seed = features, batch_size, chunk, seed
        self._device = device or torch.device("cpu")
        self._versions = versions or {}
        held = chunk if chunk is not None else self._fitting()
        self._held = len(self.ids) if held >= len(self.ids) else max(1, held // batch_size) * batch_size
        self._resident: _Chunk | None = None

    def at(self, epoch: int) -> Loader:
        """See :meth:`BatchSource.at`."""
        if not self._versions:
            return self
        generator = np.random.default_rng([self._seed, epoch, 1])
        plain, sources = self._features.modalities, dict(self._features.sources)
        for name, others in self._versions.items():
            chosen = generator.integers(1 + len(others), size=len(self.ids))
            choice = dict(zip(self.ids, chosen.tolist(), strict=True))
            sources[name] = VersionedFeatures((plain[name], *others), choice)
        features = FeatureSet(sources)
        return Loader(features, self.ids, batch_size=self._batch_size, chunk=self._chunk, device=self._device)

    def batches(self, batches: Sequence[Positions]) -> Iterator[tuple[Positions, dict[str, Sequences]]]:
        """See :meth:`BatchSource.batches`; the features are padded to one length in each modality."""
        parts = list(self._parts(batches))
        for part, (chunk, position_in_chunk) in zip(parts, self._chunks(parts), strict=True):
            for positions in part:
                chosen = torch.from_numpy(position_in_chunk[positions])
                yield positions, {name: rows.pad(chosen) for name, rows in chunk.items()}

    def _parts(self, batches: Sequence[Positions]) -> Iterator[list[Positions]]:
        """Group batches so that the clips of a group are as many as are held at once."""
        part: list[Positions] = []
        for batch in batches:
            if part and sum(map(len, part)) + len(batch) > self._held:
                yield part
                part = []
            part.append(batch)
        if part:
            yield part

    def _chunks(self, parts: Sequence[list[Positions]]) -> Iterator[tuple[_Chunk, Positions]]:
        """Load chunks; while one is served, the next is read in a thread."""
        if len(parts) < 2:
            yield from map(self._load, parts)
            return
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._load, parts[0])
            for following in [*parts[1:], None]:
                loaded = coming.result()
                if following is not None:
                    coming = reader.submit(self._load, following)
                yield loaded
                del loaded

    def _load(self, part: list[Positions]) -> tuple[_Chunk, Positions]:
        """Return a chunk, and the position in it of every clip; of those that are not in it, -1."""
        if self._held == len(self.ids):
            if self._resident is None:
                self._resident = self._read(self.ids)
            return self._resident, np.arange(len(self.ids))
        ascending = np.sort(np.concatenate(part))  # packed features lie in this order on the disk
        position_in_chunk = np.full(len(self.ids), -1)
        position_in_chunk[ascending] = np.arange(len(ascending))
        return self._read([self.ids[index] for index in ascending]), position_in_chunk

    def _read(self, ids: Sequence[str]) -> _Chunk:
        chunk = {}
        for name, source in self._features.sources.items():
            values, counts, seconds = source.read(ids)
            starts = torch.from_numpy(np.cumsum(counts) - counts)
            rows, times = torch.from_numpy(values), torch.from_numpy(seconds)
            if len(rows) == 0:  # one row to point at, so that padding always has an address
                rows, times = torch.zeros((1, *source.shape), dtype=rows.dtype), torch.zeros(1)
            chunk[name] = _Rows(rows.to(self._device), times.to(self._device), starts, torch.from_numpy(counts))
        return chunk

    def _fitting(self) -> int:
        sources = self._features.sources.values()
        needed = max(1, sum(source.row_bytes * int(source.counts(self.ids).sum()) for source in sources))
        # What does not fit is held in two chunks: one is served while the next is read.
        return len(self.ids) if needed <= BUDGET else max(1, int(BUDGET / 2 * len(self.ids) / needed))


_THREADS = 4
_BATCHES_AHEAD = 2

Frames = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ClipLoader:
    """Serve the frames of clips as a video model takes them.

    In an epoch every clip's frames and changes are drawn from the seed, the epoch and the clip's position, so they
    depend neither on the clips beside it nor on how often the run was interrupted. Outside of one, the frames are those
    of evaluation and nothing is changed.
    """

    crops: CachedCrops
    ids: tuple[str, ...]  # with balanced classes one may be there several times
    network: VideoModel
    device: torch.device
    changes: tuple[Change, ...] | None = None  # what makes each of ids a copy of its clip
    augmentation: ClipAugmentationConfig | None = None  # drawn again for each clip and epoch
    seed: int = 0
    epoch: int | None = None  # counted from 1

    def at(self, epoch: int) -> ClipLoader:
        """See :meth:`BatchSource.at`."""
        return replace(self, epoch=epoch)

    def batches(self, batches: Sequence[Positions]) -> Iterator[tuple[Positions, Tensor]]:
        """See :meth:`BatchSource.batches`; the next batches are decoded in threads meanwhile.

        Frames are on [0, 255], (clips, frames, 3, side, side), uint8 or float32. Raises StoreError where the checksum
        or identity of a clip's cached crops does not match.
        """
        waiting: deque[tuple[Positions, list[Future[Frames]]]] = deque()
        with ThreadPoolExecutor(_THREADS) as pool:
            try:
                for positions in batches:
                    waiting.append((positions, [pool.submit(self._read, int(index)) for index in positions]))
                    if len(waiting) > _BATCHES_AHEAD:
                        yield self._served(*waiting.popleft())
                while waiting:
                    yield self._served(*waiting.popleft())
            finally:
                pool.shutdown(cancel_futures=True)

    def _read(self, index: int) -> Frames:
        """Return the frames that the model reads of one clip, (frames, side, side, 3)."""
        clip_id = self.ids[index]
        draw = None if self.epoch is None else np.random.default_rng([self.seed, self.epoch, index, 0])
        chosen = self.network.choose_frames(int(self.crops.counts([clip_id])[0]), draw)
        frames = self.crops.read_frames(clip_id, chosen)
        return self.network.prepare(frames if self.changes is None else self.changes[index].apply(frames))

    def _served(self, positions: Positions, coming: list[Future[Frames]]) -> tuple[Positions, Tensor]:
        frames = torch.from_numpy(np.stack([clip.result() for clip in coming]))
        frames = frames.to(self.device).permute(0, 1, 4, 2, 3).contiguous()
        if self.epoch is None or self.augmentation is None or not self.augmentation.active:
            return positions, frames
        seeds = [derive_seed(self.seed, self.epoch, int(index), 1) for index in positions]
        draws = [draw_changes(self.augmentation, 1, torch.Generator().manual_seed(seed)) for seed in seeds]
        changes = ClipChanges(*(torch.cat(parts).to(self.device) for parts in zip(*draws, strict=True)))
        return positions, change_clips(frames, changes)


def predict_clips(
    model: Predictor,
    loader: BatchSource,
    batches: Sequence[Positions],
    on_batch: Callable[[int], None] = lambda done: None,
) -> Floats:
    """Predict clips of a loader, float64 (clips, labels) within the task's range, in the order asked for.

    Everything runs in full float32, whatever precision the model was trained in: rounding to bf16 or TF32 would make a
    clip's scores depend on the shape of its batch. What remains is the order of float32 sums (differences under 1e-6).
    The model is left in evaluation mode; ``on_batch`` is called after each batch with the number of those done.
    """
    model.eval()
    parts = []
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        for _, inputs in loader.batches(batches):
            parts.append(model.predict(inputs).cpu().numpy())
            on_batch(len(parts))
    result: Floats = np.concatenate(parts)
    return result
