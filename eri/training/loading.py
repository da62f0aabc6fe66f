"""Batches of clips: gathered chunk by chunk from packed features, padded on the device that computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eri.models import Sequences
from eri.training.features import FeatureSet, ModalityFeatures
from eri.training.processes import Positions, cut_batches

BUDGET = 2 << 30
"""Bytes of features held in memory at once when a config leaves ``chunk`` open."""


class _Rows(NamedTuple):
    """The valid rows of some clips on one device, values and seconds; on the CPU, where each begins and how many."""

    values: Tensor
    times: Tensor
    starts: Tensor
    counts: Tensor


class Chunk:
    """Some clips whose features are in the memory of one device.

    Args:
        features: To gather from.
        ids: The clips.
        device: Where the features go.
    """

    def __init__(self, features: FeatureSet, ids: Sequence[str], device: torch.device) -> None:
        self._rows: dict[str, _Rows] = {}
        for name, modality in features.sources.items():
            values, counts, seconds = modality.read(ids)
            starts = torch.from_numpy(np.cumsum(counts) - counts)
            rows, times = torch.from_numpy(values), torch.from_numpy(seconds)
            if len(rows) == 0:  # one row to point at, so that padding always has an address
                rows, times = torch.zeros((1, *modality.shape), dtype=rows.dtype), torch.zeros(1)
            self._rows[name] = _Rows(rows.to(device), times.to(device), starts, torch.from_numpy(counts))

    def batch(self, positions: NDArray[np.int64]) -> dict[str, Sequences]:
        """Pad clips to one length in each modality.

        Args:
            positions: Indices into the chunk's ids.
        """
        return {name: self._pad(rows, positions) for name, rows in self._rows.items()}

    @staticmethod
    def _pad(rows: _Rows, positions: NDArray[np.int64]) -> Sequences:
        # All of it is worked out on the CPU, so that nothing waits for the device.
        chosen = torch.from_numpy(positions)
        counts = rows.counts[chosen]
        steps = torch.arange(max(1, int(counts.max())))
        mask = steps < counts[:, None]
        address = torch.where(mask, rows.starts[chosen][:, None] + steps, 0)
        device = rows.values.device
        flat = address.flatten().to(device, non_blocking=True)
        values = rows.values.index_select(0, flat).view(*address.shape, *rows.values.shape[1:])
        times = rows.times.index_select(0, flat).view(address.shape)
        return Sequences(values, mask.to(device, non_blocking=True), times, counts)


class BatchSource(Protocol):
    """What serves the batches of one pass over clips."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The clips; one may be there several times."""
        ...

    def batches(self, batches: Sequence[Positions] | None = None) -> Iterator[tuple[Positions, Any]]:
        """Serve batches, see :meth:`Loader.batches`."""
        ...


class EpochSource(Protocol):
    """What serves the train clips, each epoch its own way."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The clips; one may be there several times."""
        ...

    def at(self, epoch: int) -> BatchSource:
        """Return what serves an epoch, counted from 1."""
        ...


class Loader:
    """Serve batches of a fixed list of clips in any order.

    A chunk holds whole batches, so its size changes memory and speed, not numbers. Clips that fit one chunk are read
    once and stay.

    Args:
        features: To gather from, in memory or mapped.
        ids: The clips.
        batch_size: Clips a batch, where none are asked for.
        chunk: Clips held in memory at once, at least one batch; None takes as many as fit :data:`BUDGET`.
        device: Where batches are needed.
    """

    def __init__(
        self,
        features: FeatureSet,
        ids: Sequence[str],
        *,
        batch_size: int,
        chunk: int | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.ids: tuple[str, ...] = tuple(ids)
        self.batch_size = batch_size
        self._features = features
        self._device = device or torch.device("cpu")
        held = chunk if chunk is not None else self._fitting()
        self._held = len(self.ids) if held >= len(self.ids) else max(1, held // batch_size) * batch_size
        self._resident: Chunk | None = None

    def __len__(self) -> int:
        """Batches in one pass."""
        return -(-len(self.ids) // self.batch_size)

    def batches(self, batches: Sequence[Positions] | None = None) -> Iterator[tuple[Positions, dict[str, Sequences]]]:
        """Serve batches.

        Args:
            batches: Indices of the clips of each; None goes over all clips once, in their order.

        Yields:
            Indices into ``ids`` and the padded features of these clips.
        """
        if batches is None:
            batches = cut_batches(np.arange(len(self.ids)), self.batch_size)
        parts = list(self._parts(batches))
        for part, (chunk, place) in zip(parts, self._chunks(parts), strict=True):
            for positions in part:
                yield positions, chunk.batch(place[positions])

    def at(self, epoch: int) -> Loader:
        """Return what serves an epoch: this loader, whichever it is."""
        return self

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

    def _chunks(self, parts: Sequence[list[Positions]]) -> Iterator[tuple[Chunk, Positions]]:
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

    def _load(self, part: list[Positions]) -> tuple[Chunk, Positions]:
        """Return a chunk, and where in it each of all clips stands, which is told of those in it only."""
        if self._held == len(self.ids):
            if self._resident is None:
                self._resident = Chunk(self._features, self.ids, self._device)
            return self._resident, np.arange(len(self.ids))
        ascending = np.sort(np.concatenate(part))  # packed features lie in this order on the disk
        chunk = Chunk(self._features, [self.ids[index] for index in ascending], self._device)
        place = np.full(len(self.ids), -1)
        place[ascending] = np.arange(len(ascending))
        return chunk, place

    def _fitting(self) -> int:
        sources = self._features.sources.values()
        needed = max(1, sum(source.row_bytes * int(source.counts(self.ids).sum()) for source in sources))
        # What does not fit is held in two chunks: one is served while the next is read.
        return len(self.ids) if needed <= BUDGET else max(1, int(BUDGET / 2 * len(self.ids) / needed))


@dataclass(frozen=True, eq=False)
class ChosenFeatures:
    """One version of each clip's embeddings.

    Attributes:
        versions: The plain embeddings first.
        choice: Index of the version of each clip; a clip that lacks it takes the plain one.
    """

    versions: Sequence[ModalityFeatures]
    choice: Mapping[str, int]

    @property
    def fingerprint(self) -> str:
        """That of the plain version."""
        return self.versions[0].fingerprint

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.versions[0].shape

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in memory."""
        return self.versions[0].row_bytes

    def counts(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of valid rows of each clip's version, (len(ids),)."""
        return _pick(self._all_counts(ids), self._taken(ids))

    def read(self, ids: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """See :meth:`~eri.training.features.RowSource.read`."""
        counts, taken = self.counts(ids), self._taken(ids)
        starts = np.cumsum(counts) - counts
        rows = np.empty((int(counts.sum()), *self.shape), dtype=np.float32)
        times = np.empty(len(rows), dtype=np.float32)
        for number, version in enumerate(self.versions):
            own = np.flatnonzero(taken == number)
            values, lengths, seconds = version.read([ids[index] for index in own.tolist()])
            within = np.arange(len(values)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            places = np.repeat(starts[own], lengths) + within
            rows[places], times[places] = values, seconds
        return rows, counts, times

    def _all_counts(self, ids: Sequence[str]) -> NDArray[np.int64]:
        return np.stack([version.counts(ids) for version in self.versions])

    def _taken(self, ids: Sequence[str]) -> NDArray[np.int64]:
        wanted = np.array([self.choice.get(clip_id, 0) for clip_id in ids], dtype=np.int64)
        return np.where(_pick(self._all_counts(ids), wanted) > 0, wanted, 0)


def _pick(counts: NDArray[np.int64], taken: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return from (versions, clips) the entry of each clip's version."""
    picked: NDArray[np.int64] = counts[taken, np.arange(len(taken))]
    return picked


class DrawingLoader:
    """Serve the train clips, each epoch with another version of some.

    The versions are drawn from the seed and the epoch's number, each as likely as the plain one, so they do not depend
    on how often the run was interrupted.

    Args:
        plain: The plain features of all modalities.
        versions: Further versions of some modalities' embeddings.
        ids: The clips.
        seed: Of the draws.
        batch_size: Clips a batch.
        chunk: As :class:`~eri.training.loading.Loader` takes it.
        device: Where batches are needed.
    """

    def __init__(
        self,
        plain: FeatureSet,
        versions: Mapping[str, Sequence[ModalityFeatures]],
        ids: Sequence[str],
        *,
        seed: int,
        batch_size: int,
        chunk: int | None,
        device: torch.device,
    ) -> None:
        self._plain = plain
        self._versions = {name: (plain.modalities[name], *others) for name, others in versions.items()}
        self._seed = seed
        self._load = partial(Loader, batch_size=batch_size, chunk=chunk, device=device)
        self._first = self._load(plain, ids)
        self.ids = self._first.ids

    def __len__(self) -> int:
        return len(self._first)

    def at(self, epoch: int) -> Loader:
        """Return what serves an epoch, counted from 1."""
        generator = np.random.default_rng([self._seed, epoch, 1])
        chosen = {}
        for name, versions in self._versions.items():
            drawn = generator.integers(len(versions), size=len(self.ids))
            chosen[name] = ChosenFeatures(versions, dict(zip(self.ids, drawn.tolist(), strict=True)))
        kept = {name: own for name, own in self._plain.modalities.items() if name not in chosen}
        return self._load(FeatureSet(kept, {**self._plain.others, **chosen}), self.ids)
