"""Face crops as JPEG files: encoding them for the cache, and decoding them again."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from eri.features.records import CropSequence


def encode_picture(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Encode a picture as a JPEG file whose colours keep their full resolution.

    Args:
        picture: uint8 RGB (height, width, 3).
        quality: Up to 100.

    Returns:
        The file, uint8 (bytes,).
    """
    full = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, full]
    return np.asarray(cv2.imencode(".jpg", picture[..., ::-1], options)[1], dtype=np.uint8).ravel()


def decode_crops(crops: CropSequence, rows: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
    """Decode the crops of a clip.

    Args:
        crops: All of them, encoded.
        rows: Which of the valid rows; None is all.

    Returns:
        uint8 RGB (rows, side, side, 3).

    Raises:
        ValueError: A file among them is no picture, or they differ in size.

    Examples:
        >>> picture = np.full((16, 16, 3), (200, 100, 50), dtype=np.uint8)
        >>> code = encode_picture(picture, 100)
        >>> crops = CropSequence(code, np.array([0, len(code)]), np.zeros(1), np.zeros(1, dtype=np.uint8))
        >>> int(np.abs(decode_crops(crops)[0].astype(int) - picture).max()) <= 1
        True
    """
    wanted = range(len(crops.offsets) - 1) if rows is None else rows.tolist()
    return _decoded(crops.codes[crops.offsets[row] : crops.offsets[row + 1]] for row in wanted)


def decode_crop_rows(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Decode crops that were just encoded.

    Args:
        rows: JPEG files, filled up with zeros to one length, uint8 (crops, bytes).

    Returns:
        uint8 RGB (crops, side, side, 3).
    """
    return _decoded(iter(rows))


def _decoded(codes: Iterable[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    pictures = []
    for code in codes:
        picture = cv2.imdecode(code, cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError("a crop is no picture")
        pictures.append(picture[..., ::-1])
    return np.stack(pictures).astype(np.uint8, copy=False) if pictures else np.zeros((0, 1, 1, 3), dtype=np.uint8)
