"""Face crops as JPEG files: encoding them for the cache, and reading the cached crops of some clips at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from eri.features.folder import FeatureFolder
from eri.features.packing import refuse_empty, refuse_foreign
from eri.features.records import CropSequence
from eri.features.sources import Source
from eri.features.store import identity_of
from eri.media.state import State
from eri.utils.errors import StoreError
from eri.utils.files import digest

_READERS = 4
"""Threads that decode: the files are small, and decoding lets other threads run."""


def encode_image(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Encode an image, uint8 RGB (height, width, 3), as a JPEG file, uint8 (bytes,), its colours in full resolution."""
    full = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full]
    return np.asarray(cv2.imencode(".jpg", image[..., ::-1], options)[1], dtype=np.uint8).ravel()


def decode_crops(crops: CropSequence, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
    """Decode the crops of a clip, of all valid rows or some, to uint8 RGB (rows, side, side, 3).

    ValueError where a file among them is not an image, or they differ in size.

    Examples:
        >>> image = np.full((16, 16, 3), (200, 100, 50), dtype=np.uint8)
        >>> code = encode_image(image, 100)
        >>> crops = CropSequence(code, np.array([0, len(code)]), np.zeros(1), np.zeros(1, dtype=np.uint8))
        >>> int(np.abs(decode_crops(crops)[0].astype(int) - image).max()) <= 1
        True
    """
    wanted = range(len(crops.offsets) - 1) if rows is None else rows.tolist()
    return _decode(crops.codes[crops.offsets[row] : crops.offsets[row + 1]] for row in wanted)


def decode_crop_rows(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Decode JPEG files filled up with zeros to one length, uint8 (crops, bytes), to RGB (crops, side, side, 3)."""
    return _decode(iter(rows))


def _decode(codes: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    images = [cv2.imdecode(code, cv2.IMREAD_COLOR) for code in codes]
    if any(image is None for image in images):
        raise ValueError("a crop is not an image")
    decoded = [image[..., ::-1] for image in images if image is not None]
    return np.stack(decoded).astype(np.uint8, copy=False) if decoded else np.zeros((0, 1, 1, 3), dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class CachedCrops:
    """The face crops of many clips, side × side pixels each; the fingerprint changes when any crop does."""

    read_crops: Callable[[str], CropSequence]
    feature_path: Callable[[str], Path]  # what messages call the crops of a clip
    valid: Mapping[str, int]  # crops of each clip
    side: int
    fingerprint: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one crop."""
        return (self.side, self.side, 3)

    @property
    def row_bytes(self) -> int:
        """Bytes of one crop in memory."""
        return 3 * self.side**2

    def counts(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of crops of each clip, (len(ids),); 0 where it has none."""
        return np.array([self.valid.get(clip_id, 0) for clip_id in ids], dtype=np.int64)

    def read(self, ids: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.float32]]:
        """Decode the crops of clips, clip after clip.

        Returns uint8 RGB (crops, side, side, 3), the number of each clip's, and the seconds of every crop.
        """
        counts = self.counts(ids)
        images = np.empty((int(counts.sum()), *self.shape), dtype=np.uint8)
        times = np.empty(len(images), dtype=np.float32)
        ends = np.cumsum(counts)
        places = [slice(int(end - count), int(end)) for end, count in zip(ends, counts, strict=True)]

        def fill(clip_id: str, place: slice) -> None:
            if place.stop > place.start:
                images[place], crops = self._decode_rows(clip_id, np.arange(place.stop - place.start))
                times[place] = crops.times[crops.states == State.VALID]

        with ThreadPoolExecutor(_READERS) as pool:
            list(pool.map(fill, ids, places))
        return images, counts, times

    def read_frames(self, clip_id: str, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decode some crops of one clip, in any order and also repeatedly, to uint8 RGB (rows, side, side, 3)."""
        needed, places = np.unique(rows, return_inverse=True)
        return self._decode_rows(clip_id, needed)[0][places]

    def _decode_rows(self, clip_id: str, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], CropSequence]:
        crops, path = self.read_crops(clip_id), self.feature_path(clip_id)
        try:
            images = decode_crops(crops, rows if len(crops.offsets) - 1 == self.valid[clip_id] else None)
        except ValueError as error:
            raise StoreError(f"{path}: {error}", hint="Run `eri extract` again: it writes this file again.") from error
        if images.shape != (len(rows), *self.shape):
            raise StoreError(
                f"{path}: was replaced while it was being read", hint="Try again when the extraction has ended."
            )
        return images, crops


def holds_crops(folder: FeatureFolder) -> bool:
    """Tell whether a folder holds face crops rather than embeddings."""
    return identity_of(folder).get("family") == "crops"


def open_crops(
    folder: FeatureFolder, clip_ids: Sequence[str], *, sources: Mapping[str, Source | None] | None = None
) -> CachedCrops:
    """Look up the face crops of some clips, of which some may have none; see :func:`~eri.features.packing.pack`."""
    entries = folder.entries(clip_ids)
    refuse_empty(folder, entries, clip_ids, "face crops")
    if sources is not None:
        refuse_foreign(folder, sorted(entries), sources)
    checksums = sorted([clip_id, entry.checksum] for clip_id, entry in entries.items())
    valid = {clip_id: entry.state_counts[State.VALID] for clip_id, entry in entries.items()}
    side, fingerprint = int(identity_of(folder)["side"]), digest([folder.digest, checksums])
    return CachedCrops(folder.read_crops, folder.feature_path, valid, side, fingerprint)
