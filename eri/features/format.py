"""One feature file: the arrays of one clip in safetensors format, with the metadata that its content is verified by.

Tensors: ``embeddings`` float32 (rows, dimension), ``times`` float64 (rows,), ``states`` uint8 (rows,). Where face crops
are cached, ``codes`` uint8 (bytes,) and ``offsets`` int64 (valid rows + 1,) stand in place of the embeddings.
Metadata, all strings: ``format``, ``clip``, ``identity`` (digest of the extractor's identity), ``source`` (JSON: name,
size, mtime_ns, sha256), ``notes`` (JSON list), ``version`` of eri, and ``checksum``: SHA-256 over all other metadata
and every tensor's name, type, shape and bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from eri.features.records import CropSequence, FeatureSequence
from eri.features.sources import Source
from eri.media.state import State
from eri.utils.errors import StoreError
from eri.utils.files import atomic_path, canonical_json
from eri.utils.version import __version__

FORMAT = "eri-features-1"
CROPS_FORMAT = "eri-crops-1"

_SOURCE = ("name", "size", "mtime_ns", "sha256")

_Types = Mapping[str, tuple[type[np.generic], int]]
_GRID: _Types = {"times": (np.float64, 1), "states": (np.uint8, 1)}
_TYPES: Mapping[str, _Types] = {
    FORMAT: {"embeddings": (np.float32, 2), **_GRID},
    CROPS_FORMAT: {"codes": (np.uint8, 1), "offsets": (np.int64, 1), **_GRID},
}


def write_record(path: Path, record: FeatureSequence | CropSequence) -> str:
    """Write a feature file in one atomic step and return its checksum; ValueError where the arrays do not fit."""
    form = CROPS_FORMAT if isinstance(record, CropSequence) else FORMAT
    arrays = _checked_arrays(record, _TYPES[form])
    metadata = {
        "format": form,
        "clip": record.clip_id,
        "identity": record.identity,
        "source": canonical_json({name: getattr(record.source, name) for name in _SOURCE}),
        "notes": canonical_json(list(record.notes)),
        "version": __version__,
    }
    metadata["checksum"] = _checksum(metadata, arrays)
    with atomic_path(path) as temporary:
        # Not safetensors' own save_file: that writes through a temporary file of another name, readable by no one else,
        # which a killed process would leave behind, and it reports a full disk in words only.
        temporary.write_bytes(save(arrays, metadata=metadata))
    return metadata["checksum"]


def read_record(path: Path) -> FeatureSequence | CropSequence:
    """Read a feature file; StoreError where it is missing, truncated, altered or no feature file."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except FileNotFoundError as error:
        raise StoreError(f"{path}: no such feature file") from error
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"{path}: not a whole feature file: {error}") from error
    stated = metadata.pop("checksum", "")
    form = metadata.get("format", "")
    if set(arrays) != set(_TYPES.get(form, ())):
        raise StoreError(f"{path}: not a feature file of format '{FORMAT}' or '{CROPS_FORMAT}'")
    if stated != _checksum(metadata, arrays):
        raise StoreError(f"{path}: its content does not match its checksum")
    kind: type[FeatureSequence | CropSequence] = CropSequence if form == CROPS_FORMAT else FeatureSequence
    return kind(
        **arrays,
        clip_id=metadata["clip"],
        identity=metadata["identity"],
        source=Source(**json.loads(metadata["source"])),
        notes=tuple(json.loads(metadata["notes"])),
        version=metadata["version"],
        checksum=stated,
    )


def _checked_arrays(features: FeatureSequence | CropSequence, types: _Types) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {name: getattr(features, name) for name in types}
    lengths = dict.fromkeys(("embeddings", "times", "states"), len(features.times))
    if isinstance(features, CropSequence):
        lengths |= {"codes": int(features.offsets[-1]), "offsets": int((features.states == State.VALID).sum()) + 1}
    for name, (dtype, dimensions) in types.items():
        array = arrays[name]
        if array.dtype != dtype or array.ndim != dimensions or len(array) != lengths[name]:
            raise ValueError(f"clip {features.clip_id}: {name} are {array.dtype} of shape {array.shape}")
    if any(array.dtype.kind == "f" and not np.isfinite(array).all() for array in arrays.values()):
        raise ValueError(f"clip {features.clip_id}: features or times are not finite")
    if (np.diff(features.times) < 0).any():
        raise ValueError(f"clip {features.clip_id}: times do not ascend")
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _checksum(metadata: dict[str, str], arrays: dict[str, NDArray[np.generic]]) -> str:
    state = hashlib.sha256(canonical_json(metadata).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        state.update(canonical_json([name, array.dtype.str, list(array.shape)]).encode())
        state.update(array.data.cast("B") if array.size else b"")
    return state.hexdigest()
