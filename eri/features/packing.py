"""Packed features: all clips of a list in one memory-mapped matrix, so that a data set larger than memory trains.

A packed copy stands in ``packed/<16 hex digits>/`` of its feature folder: ``embeddings.npy`` float32 (all rows,
dimension), ``times.npy``, ``states.npy``, ``offsets.npy`` (clips + 1) and ``pack.json``, which names the clips and the
checksums of the feature files that it was made from. It is made under a temporary name and renamed when whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from eri.features.folder import FeatureFolder
from eri.features.index import Entry
from eri.features.problems import explained
from eri.features.records import CropSequence
from eri.features.sources import Source
from eri.features.store import data_set_of, read_json
from eri.utils.errors import StoreError
from eri.utils.files import atomic_folder, digest, write_json

_FORMAT = "eri-pack-1"
_ARRAYS = ("embeddings", "times", "states", "offsets")


@dataclass(frozen=True, eq=False)
class PackedFeatures:
    """The features of many clips, memory-mapped and read-only: rows of clip i are offsets[i] to offsets[i + 1]."""

    path: Path
    clip_ids: tuple[str, ...]  # in the order asked for, without those that have no features
    embeddings: NDArray[np.float32]  # (all rows, dimension), zero in rows that are not valid
    times: NDArray[np.float64]  # seconds, (all rows,)
    states: NDArray[np.uint8]  # (all rows,)
    offsets: NDArray[np.int64]  # (clips + 1,)
    fingerprint: str  # SHA-256 over the clip ids and the checksums of their feature files


def pack(
    folder: FeatureFolder, clip_ids: Sequence[str], *, sources: Mapping[str, Source | None] | None = None
) -> PackedFeatures:
    """Return a packed copy of the features of some clips, made when there is none that still fits.

    Each feature file is verified as it is copied, one in memory at a time. Packed copies whose feature files have
    changed since are removed. With sources, features of other files are refused, as when two data sets with the same
    ids share a feature folder; sources that are gone are not missed, and imported features are not asked, as they were
    not made from the data set's files. StoreError too where no clip has features, a file does not match its checksum or
    identity, or the copy cannot be written.
    """
    if len(set(clip_ids)) != len(clip_ids):
        raise ValueError("a clip id is duplicated in the list to pack")
    found = folder.entries(clip_ids)
    refuse_empty(folder, found, clip_ids, "features")
    entries = [found[clip_id] for clip_id in clip_ids if clip_id in found]
    if sources is not None and data_set_of(folder) is None:
        refuse_foreign(folder, [entry.clip_id for entry in entries], sources)
    fingerprint = digest([folder.digest, [[entry.clip_id, entry.checksum] for entry in entries]])
    target = folder.path / "packed" / fingerprint[:16]
    if (packed := _open(target, fingerprint)) is not None:
        return packed
    with folder.lock("packing"), explained(target):
        _remove_stale(folder, target.parent)
        if (packed := _open(target, fingerprint)) is None:
            _build(folder, entries, fingerprint, target)
            packed = _open(target, fingerprint)
    if packed is None:
        raise StoreError(f"{target}: the packed copy cannot be read back", hint="Check the disk, and try again.")
    return packed


def refuse_empty(folder: FeatureFolder, found: Collection[str], clip_ids: Sequence[str], what: str) -> None:
    """Raise StoreError where none of the clips was found."""
    if not found:
        raise StoreError(
            f"{folder.path}: none of the {len(clip_ids)} clips has {what}",
            hint="Run `eri extract` first; failures.csv in that folder says what went wrong.",
        )


def refuse_foreign(folder: FeatureFolder, clip_ids: Sequence[str], sources: Mapping[str, Source | None]) -> None:
    """Raise StoreError, which names the first clip, for features that were made from other files."""
    foreign = folder.take_inventory({clip_id: sources.get(clip_id) for clip_id in clip_ids}).incomplete
    if foreign:
        raise StoreError(
            f"{folder.path}: the features of {len(foreign)} clip(s), the first '{foreign[0]}', were made from other "
            "files than those of this data set",
            hint="Run `eri extract` on this data set, or give it a feature folder of its own with --features DIR.",
        )


def _open(target: Path, fingerprint: str) -> PackedFeatures | None:
    """Map a packed copy; None where there is none, or where one of its files is not as it was written."""
    try:
        manifest = read_json(target / "pack.json")
        if manifest["format"] != _FORMAT or manifest["fingerprint"] != fingerprint:
            return None
        if any(_stamp(target, name) != manifest["files"][name] for name in _ARRAYS):
            return None
        arrays: dict[str, Any] = {
            name: np.load(target / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS
        }
        return PackedFeatures(path=target, clip_ids=tuple(manifest["checksums"]), fingerprint=fingerprint, **arrays)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stamp(folder: Path, name: str) -> list[int]:
    status = (folder / f"{name}.npy").stat()
    return [status.st_size, status.st_mtime_ns]


def _build(folder: FeatureFolder, entries: Sequence[Entry], fingerprint: str, target: Path) -> None:
    with atomic_folder(target) as temporary:
        _write_arrays(folder, entries, temporary)
        manifest = {
            "format": _FORMAT,
            "fingerprint": fingerprint,
            "files": {name: _stamp(temporary, name) for name in _ARRAYS},
            "checksums": {entry.clip_id: entry.checksum for entry in entries},
        }
        write_json(temporary / "pack.json", manifest)
        shutil.rmtree(target, ignore_errors=True)


def _write_arrays(folder: FeatureFolder, entries: Sequence[Entry], target: Path) -> None:
    dimension = entries[0].dimension
    offsets = np.cumsum([0, *(entry.rows for entry in entries)], dtype=np.int64)
    rows = int(offsets[-1])
    np.save(target / "offsets.npy", offsets, allow_pickle=False)
    with ExitStack() as stack:
        embeddings = stack.enter_context(_array_file(target / "embeddings.npy", (rows, dimension), np.float32))
        times = stack.enter_context(_array_file(target / "times.npy", (rows,), np.float64))
        states = stack.enter_context(_array_file(target / "states.npy", (rows,), np.uint8))
        for entry in entries:
            features = folder.read_record(entry.clip_id)
            if isinstance(features, CropSequence):
                raise StoreError(f"{folder.path}: holds face crops, which are not packed")
            if features.checksum != entry.checksum or features.embeddings.shape[1] != dimension:
                raise StoreError(
                    f"{folder.feature_path(entry.clip_id)}: was replaced while it was being packed",
                    hint="Try again when the extraction has ended.",
                )
            embeddings.write(features.embeddings.data)
            times.write(features.times.data)
            states.write(features.states.data)


@contextmanager
def _array_file(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> Iterator[BinaryIO]:
    # Written, not mapped: on a full disk a write fails with an error, a mapping kills the process.
    with path.open("wb") as stream:
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        yield stream
        stream.flush()
        os.fsync(stream.fileno())


def _remove_stale(folder: FeatureFolder, packed: Path) -> None:
    """Remove packed copies whose feature files changed, and what killed processes left. Called under the lock."""
    manifests = {path: _checksums(path) for path in packed.glob("*")}
    wanted = {clip_id for checksums in manifests.values() for clip_id in checksums}
    current = {clip_id: entry.checksum for clip_id, entry in folder.entries(wanted).items()}
    for path, checksums in manifests.items():
        fits = bool(checksums) and all(current.get(clip_id) == value for clip_id, value in checksums.items())
        if path.name.startswith(".") or not fits:
            with suppress(OSError):
                shutil.rmtree(path)


def _checksums(path: Path) -> dict[str, str]:
    try:
        return dict(read_json(path / "pack.json")["checksums"])
    except (ValueError, KeyError, TypeError):
        return {}
