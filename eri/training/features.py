"""The features that a system reads: found by config or by recorded identity, and gathered by clip id.

The arrays are those of a packed feature folder. They may be memory-mapped: only the rows that are asked for are read.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eri.config import ExperimentConfig
from eri.data.clips import ClipTable, Split
from eri.features.crops import holds_crops, open_crops
from eri.features.folder import FeatureFolder
from eri.features.packing import pack
from eri.features.sources import clip_sources
from eri.features.store import data_set_of, find_folder, identity_of, local_features, open_folder
from eri.media.state import State
from eri.utils.errors import StoreError

_COPIED = 64 << 20  # bytes that are copied from a mapped file before its pages are released


class RowSource(Protocol):
    """What the rows of one modality are read from, by clip id.

    ``fingerprint`` changes when any of the rows does, and is empty when unknown. ``shape`` is that of one row, and
    ``row_bytes`` its size in memory.
    """

    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def row_bytes(self) -> int: ...  # noqa: D102

    def counts(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of valid rows of each clip, (len(ids),); 0 where the clip has none."""

    def read(self, ids: Sequence[str]) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float32]]:
        """Copy the valid rows of clips into memory: rows (rows, *shape), how many each clip has, seconds of each."""


@dataclass(frozen=True, eq=False)
class ModalityFeatures:
    """The valid rows of one modality; its arrays are in memory or mapped."""

    embeddings: NDArray[np.float32]  # (rows, dimension)
    valid_rows: NDArray[np.int64]  # where in embeddings the valid rows of all clips stand, clip after clip
    starts: NDArray[np.int64]  # (clips + 1,), where in valid_rows each clip begins
    position: Mapping[str, int]  # index of each clip id
    fingerprint: str = ""
    times: NDArray[np.float64] | None = None  # seconds of every row; None when unknown

    @classmethod
    def from_arrays(
        cls,
        embeddings: NDArray[np.float32],
        offsets: NDArray[np.int64],
        states: NDArray[np.uint8],
        clip_ids: Sequence[str],
        fingerprint: str = "",
        times: NDArray[np.float64] | None = None,
    ) -> ModalityFeatures:
        """Index packed arrays: ``offsets``, (clips + 1,), say where each clip's rows begin, ``states`` which are valid.

        >>> states = np.array([0, 1, 0, 0], dtype=np.uint8)
        >>> rows = np.arange(4, dtype=np.float32)[:, None]
        >>> features = ModalityFeatures.from_arrays(rows, np.array([0, 2, 4]), states, ["a", "b"])
        >>> values, counts, times = features.read(["b", "missing", "a"])
        >>> values.ravel().tolist(), counts.tolist(), times.tolist()
        ([2.0, 3.0, 0.0], [2, 0, 1], [0.0, 1.0, 0.0])
        """
        valid = np.asarray(states) == State.VALID
        before = np.concatenate([[0], np.cumsum(valid, dtype=np.int64)])
        starts = before[np.asarray(offsets, dtype=np.int64)]
        position = {clip_id: index for index, clip_id in enumerate(clip_ids)}
        return cls(np.asarray(embeddings), np.flatnonzero(valid), starts, position, fingerprint, times)

    @property
    def dimension(self) -> int:
        """Length of one embedding."""
        return int(self.embeddings.shape[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return (self.dimension,)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in memory."""
        return 4 * self.dimension

    def read(self, ids: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """See :meth:`RowSource.read`; rows of unknown times are one second apart."""
        rows, counts = self.rows_of(ids)
        times = _within(counts) if self.times is None else self.times[rows]
        return self.take(rows), counts, times.astype(np.float32)

    def counts(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """See :meth:`RowSource.counts`."""
        return self._locate(ids)[1]

    def rows_of(self, ids: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the valid rows of clips stand in ``embeddings``, clip after clip, and how many each has."""
        first, counts = self._locate(ids)
        return self.valid_rows[np.repeat(first, counts) + _within(counts)], counts

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Copy rows of ``embeddings`` into memory.

        What the system maps of a file on the way does not stay: else a pass over it would make all of it resident.
        """
        copied = np.empty((len(rows), self.dimension), dtype=self.embeddings.dtype)
        step = max(1, _COPIED // self.row_bytes)
        mapping = _mapping_of(self.embeddings)
        for start in range(0, len(rows), step):
            block = slice(start, start + step)
            # Not mode="raise", which copies once more; the rows are our own.
            np.take(self.embeddings, rows[block], axis=0, out=copied[block], mode="clip")
            if mapping is not None:
                mapping.madvise(mmap.MADV_DONTNEED)
        return copied

    def _locate(self, ids: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        index = np.fromiter((self.position.get(clip_id, -1) for clip_id in ids), dtype=np.int64, count=len(ids))
        first = np.where(index >= 0, self.starts[index], 0)
        return first, np.where(index >= 0, self.starts[index + 1], 0) - first


def _within(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the position of every row within its clip, clip after clip."""
    positions: NDArray[np.int64] = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return positions


def _mapping_of(array: NDArray[Any]) -> mmap.mmap | None:
    """Return the mapping behind an array that is only read, where the system can be told to let it go."""
    if array.flags.writeable or not hasattr(mmap, "MADV_DONTNEED"):
        return None
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


@dataclass(frozen=True, eq=False)
class VersionedFeatures:
    """One version of each clip's embeddings; a clip that lacks the one chosen for it takes the plain one."""

    versions: Sequence[ModalityFeatures]  # the plain embeddings first
    choice: Mapping[str, int]  # index of the version of each clip

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
        """See :meth:`RowSource.counts`."""
        return self._choose(ids)[1]

    def read(self, ids: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """See :meth:`RowSource.read`."""
        chosen, counts = self._choose(ids)
        rows = np.empty((int(counts.sum()), *self.shape), dtype=np.float32)
        times = np.empty(len(rows), dtype=np.float32)
        version_of_row = np.repeat(chosen, counts)
        for number, version in enumerate(self.versions):
            own = version_of_row == number
            rows[own], _, times[own] = version.read([ids[index] for index in np.flatnonzero(chosen == number).tolist()])
        return rows, counts, times

    def _choose(self, ids: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the version of each clip and how many valid rows it has."""
        counts, clips = np.stack([version.counts(ids) for version in self.versions]), np.arange(len(ids))
        wanted = np.array([self.choice.get(clip_id, 0) for clip_id in ids], dtype=np.int64)
        chosen = np.where(counts[wanted, clips] > 0, wanted, 0)
        return chosen, counts[chosen, clips]


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """The features of every modality that a system uses, visual before audio: embeddings, face crops, or versions."""

    sources: Mapping[str, RowSource]

    @property
    def modalities(self) -> dict[str, ModalityFeatures]:
        """Those that are cached embeddings."""
        return {name: source for name, source in self.sources.items() if isinstance(source, ModalityFeatures)}

    @property
    def dimensions(self) -> dict[str, int]:
        """Length of one embedding by modality, of those that are cached."""
        return {name: features.dimension for name, features in self.modalities.items()}

    def usable(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Return for each clip whether any modality has a valid row of it, (len(ids),)."""
        present = [features.counts(ids) > 0 for features in self.sources.values()]
        return np.asarray(np.stack(present).any(axis=0), dtype=np.bool_)


def find_features(config: ExperimentConfig, root: Path, data_set: str | None = None) -> dict[str, FeatureFolder]:
    """Find the folders that a config's extractors made, or that were imported, by modality; StoreError without one."""
    return {name: find_folder(root, extractor, data_set) for name, extractor in config.extractors.items()}


def recorded_features(recorded: Mapping[str, Mapping[str, Any]], root: Path) -> dict[str, FeatureFolder]:
    """Find the folders of the very identities that a run was trained on, see :func:`describe`; StoreError without."""
    folders = {}
    for name, source in recorded.items():
        folder = open_folder(local_features(root) / str(source["folder"]), str(source["digest"]))
        if not folder.path.is_dir():
            raise StoreError(
                f"{folder.path}: the {name} features that the run was trained on are not there",
                hint="Run `eri extract` with the run's config.yaml, or name their folder with --features DIR.",
            )
        folders[name] = folder
    return folders


def describe(folder: FeatureFolder) -> dict[str, Any]:
    """Return what a run records of a feature folder: its name, and the extractor's identity with its digest."""
    return {"folder": folder.path.name, "digest": folder.digest, "identity": identity_of(folder)}


def open_split(folders: Mapping[str, FeatureFolder], table: ClipTable, split: Split) -> FeatureSet:
    """Map the packed features of one split; each split is packed apart, or all clips together where they are pooled.

    Face crops are not packed: they are looked up, and decoded when they are asked for. Raises StoreError where no clip
    has features, or they were made from other files than the table's, or imported for another data set.
    """
    clips = table.clips if table.pooled else table.split(split)
    ids = [clip.id for clip in clips]
    opened: dict[str, RowSource] = {}
    for name, folder in folders.items():
        owner = data_set_of(folder)
        if owner not in (None, table.name):
            raise StoreError(
                f"{folder.path}: these {name} features were imported for the data set '{owner}', not '{table.name}'",
                hint="The same id is another clip there. Import this data set's own with `eri features import`.",
            )
        sources = clip_sources(table, "visual" if name == "visual" else "audio", clips)
        if holds_crops(folder):
            opened[name] = open_crops(folder, ids, sources=sources)
            continue
        packed = pack(folder, ids, sources=sources)
        opened[name] = ModalityFeatures.from_arrays(
            packed.embeddings, packed.offsets, packed.states, packed.clip_ids, packed.fingerprint, packed.times
        )
    return FeatureSet(opened)
