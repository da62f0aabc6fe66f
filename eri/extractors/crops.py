"""Face crops kept as pictures: what a model that learns from pixels reads in place of video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from eri.config import CropsConfig, Runtime
from eri.data.clips import Clip
from eri.extractors.base import CropSequence, Prepared
from eri.extractors.preparing import ImagePreparer
from eri.extractors.running import decoding_device, library_versions, resolve_device
from eri.media.faces import face_identity

_RULES = 1
"""Version of the rules in this family: raised when its pictures change for the same settings."""


@dataclass(frozen=True)
class CropPreparer:
    """Decodes frames, crops the subject's face from each, and encodes the crops.

    Attributes:
        images: What decodes and crops.
        quality: Of the JPEG files, up to 100.
    """

    images: ImagePreparer
    quality: int

    def prepare(self, clip: Clip) -> Prepared:
        """See :meth:`~eri.extractors.preparing.ImagePreparer.prepare`."""
        return self.encode(self.images.prepare(clip))

    def encode(self, prepared: Prepared) -> Prepared:
        """Encode the crops of a clip."""
        codes = [encode_picture(picture, self.quality) for picture in prepared.inputs]
        rows = np.zeros((len(codes), max(map(len, codes), default=1)), dtype=np.uint8)
        for row, code in zip(rows, codes, strict=True):
            row[: len(code)] = code
        return replace(prepared, inputs=rows, encoded=True)


class CropExtractor:
    """No model at all: the crops themselves are what is cached.

    Args:
        config: Sampling, size and face settings.
        runtime: Device of the face detector, and what decodes.

    Raises:
        MissingDependencyError: torchcodec is to decode and is not installed.
    """

    def __init__(self, config: CropsConfig, runtime: Runtime) -> None:
        self.name: str = config.extractor
        self.modality: Literal["visual", "audio"] = "visual"
        self.dimension = config.input_size
        self._config = config
        self._runtime = runtime
        self._decode_on = decoding_device(runtime)

    @property
    def preparer(self) -> CropPreparer:
        """The part that decodes, crops and encodes."""
        config = self._config
        device = str(resolve_device(self._runtime.device)) if config.faces.detector == "retinaface" else "cpu"
        images = ImagePreparer(
            config.frames, config.input_size, config.faces, device, take=config.take, decode_on=self._decode_on
        )
        return CropPreparer(images, config.quality)

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the pictures, as JSON values."""
        return {
            "family": "crops",
            "rules": _RULES,
            "frames": self._config.frames,
            "take": self._config.take,
            "side": self._config.input_size,
            "quality": self._config.quality,
            "faces": face_identity(self._config.faces),
            "versions": library_versions("av", "opencv-python-headless"),
        }

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[Any]]:
        """Return the encoded crops as they are."""
        return [np.asarray(clip.inputs) for clip in prepared]


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
