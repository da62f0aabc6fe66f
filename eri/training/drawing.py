"""Versions of the train clips' embeddings, such as brightened ones: each epoch takes one of every clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from eri.training.features import FeatureSet, ModalityFeatures
from eri.training.loading import Loader


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
