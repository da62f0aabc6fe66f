"""Batches of clips: gathered chunk by chunk from packed features, padded on the device that computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eri.models import Sequences
from eri.training.features import FeatureSet

BUDGET = 2 << 30
"""Bytes of features held in memory at once when a config leaves ``chunk`` open."""


class Chunk:
    """Some clips whose features are in the memory of one device.

    Args:
        features: To gather from.
        ids: The clips.
        device: Where the features go.
    """

    def __init__(self, features: FeatureSet, ids: Sequence[str], device: torch.device) -> None:
        self._rows: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
        for name, modality in features.modalities.items():
            values, counts = modality.gather(ids)
            starts = torch.from_numpy(np.cumsum(counts) - counts)
            rows = torch.from_numpy(values)
            if len(rows) == 0:  # one row to point at, so that padding always has an address
                rows = torch.zeros((1, modality.dimension))
            self._rows[name] = (rows.to(device), starts.to(device), torch.from_numpy(counts).to(device))

    def batch(self, positions: NDArray[np.int64]) -> dict[str, Sequences]:
        """Pad clips to one length in each modality.

        Args:
            positions: Indices into the chunk's ids.
        """
        return {name: self._pad(*parts, positions) for name, parts in self._rows.items()}

    @staticmethod
    def _pad(rows: Tensor, starts: Tensor, counts: Tensor, positions: NDArray[np.int64]) -> Sequences:
        chosen = torch.from_numpy(positions).to(rows.device)
        lengths = counts[chosen]
        steps = torch.arange(max(1, int(lengths.max())), device=rows.device)
        mask = steps < lengths[:, None]
        address = torch.where(mask, starts[chosen][:, None] + steps, 0)
        return Sequences(rows[address], mask)


class Loader:
    """Serve batches of a fixed list of clips in any order.

    Which clips share a batch depends on the order and the batch size alone: a chunk holds whole batches, so its size
    changes memory and speed, not numbers. Clips that fit one chunk are read once and stay.

    Args:
        features: To gather from, in memory or mapped.
        ids: The clips.
        batch_size: Clips a batch.
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
        self.ids = tuple(ids)
        self.batch_size = batch_size
        self._features = features
        self._device = device or torch.device("cpu")
        held = chunk if chunk is not None else self._fitting()
        self._held = len(self.ids) if held >= len(self.ids) else max(1, held // batch_size) * batch_size
        self._resident: Chunk | None = None

    def __len__(self) -> int:
        """Batches in one pass."""
        return -(-len(self.ids) // self.batch_size)

    def batches(
        self, order: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Sequences]]]:
        """Go over all clips once.

        Args:
            order: A permutation of the clips' indices; None keeps their order.

        Yields:
            Indices into ``ids`` and the padded features of these clips.
        """
        order = np.arange(len(self.ids)) if order is None else order
        for start in range(0, len(order), max(1, self._held)):
            part = order[start : start + self._held]
            chunk, local = self._load(part)
            for first in range(0, len(part), self.batch_size):
                last = first + self.batch_size
                yield part[first:last], chunk.batch(local[first:last])

    def _load(self, part: NDArray[np.int64]) -> tuple[Chunk, NDArray[np.int64]]:
        if self._held == len(self.ids):
            if self._resident is None:
                self._resident = Chunk(self._features, self.ids, self._device)
            return self._resident, part
        ascending = np.sort(part)  # packed features lie in this order on the disk
        chunk = Chunk(self._features, [self.ids[index] for index in ascending], self._device)
        return chunk, np.searchsorted(ascending, part)

    def _fitting(self) -> int:
        modalities = self._features.modalities.values()
        needed = sum(4 * m.dimension * int(m.counts(self.ids).sum()) for m in modalities)
        return max(1, int(BUDGET * len(self.ids) / max(1, needed)))
