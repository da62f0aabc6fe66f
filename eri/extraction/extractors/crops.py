"""Face crops kept as pictures: what a model that learns from pixels reads in place of video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eri.config import CropsConfig, Runtime
from eri.data.clips import Clip
from eri.extraction.extractors.preparing import ImagePreparer
from eri.features.crops import encode_image
from eri.features.records import Prepared
from eri.media.faces import face_identity
from eri.models.running import decoding_device, library_versions, resolve_device

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
        """See :meth:`~eri.extraction.extractors.preparing.ImagePreparer.prepare`."""
        return self.encode(self.images.prepare(clip))

    def encode(self, prepared: Prepared) -> Prepared:
        """Encode the crops of a clip."""
        codes = [encode_image(picture, self.quality) for picture in prepared.inputs]
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
