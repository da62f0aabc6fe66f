"""Face crops kept as JPEG images: what a model that learns from pixels reads in place of video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.config import CropsConfig, Runtime, Stream
from eri.data.clips import Clip
from eri.extraction.extractors.base import BaseExtractor
from eri.extraction.extractors.preparing import ImagePreparer
from eri.features.crops import encode_image
from eri.features.records import Prepared
from eri.media.faces import face_identity


@dataclass(frozen=True)
class CropPreparer:
    """Decodes frames, crops the subject's face from each, and encodes the crops as JPEG of a quality up to 100."""

    images: ImagePreparer
    quality: int

    def prepare(self, clip: Clip) -> Prepared:
        """See :meth:`~eri.extraction.extractors.preparing.ImagePreparer.prepare`."""
        return self.encode(self.images.prepare(clip))

    def encode(self, prepared: Prepared) -> Prepared:
        """Encode the crops of a clip."""
        return replace(
            prepared, inputs=pad_codes([encode_image(image, self.quality) for image in prepared.inputs]), encoded=True
        )


def pad_codes(codes: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return encoded images as rows of bytes, filled up with zeros, uint8 (images, bytes of the longest)."""
    rows = np.zeros((len(codes), max(map(len, codes), default=1)), dtype=np.uint8)
    for row, code in zip(rows, codes, strict=True):
        row[: len(code)] = code
    return rows


class CropExtractor(BaseExtractor):
    """No model at all: the crops themselves are what is cached."""

    family = "crops"
    modality: Stream = "visual"
    libraries = ("av", "opencv-python-headless")

    def __init__(self, config: CropsConfig, runtime: Runtime) -> None:
        from eri.models.running import decoding_device, resolve_device  # imports torch, which preparing does without

        self.name: str = config.extractor
        self.dimension = config.input_size
        self._config = config
        detect_on = str(resolve_device(runtime.device)) if config.faces.detector == "retinaface" else "cpu"
        side, decode_on = config.input_size, decoding_device(runtime)
        images = ImagePreparer(config.frames, side, config.faces, detect_on, take=config.take, decode_on=decode_on)
        self.preparer = CropPreparer(images, config.quality)

    def settings(self) -> dict[str, Any]:
        """Return what determines the images beside family, rules and libraries."""
        return {
            "frames": self._config.frames,
            "take": self._config.take,
            "side": self._config.input_size,
            "quality": self._config.quality,
            "faces": face_identity(self._config.faces),
        }

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[Any]]:
        """Return the encoded crops as they are."""
        return [np.asarray(clip.inputs) for clip in prepared]
