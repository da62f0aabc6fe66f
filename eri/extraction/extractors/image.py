"""Embeddings of face crops, one a sampled frame, by an image backbone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eri.config import DrawnImageConfig, ImageConfig, Runtime
from eri.extraction.extractors.preparing import Brightening, ImagePreparer
from eri.features.records import Prepared
from eri.media.faces import face_identity
from eri.models.backbones import create_backbone
from eri.models.compiling import CompiledLater
from eri.models.running import Batching, batches, decoding_device, library_versions, resolve_device, store_rows

_RULES = 1
"""Version of the rules in this family: raised when its numbers change for the same settings."""


class ImageExtractor:
    """A timm backbone over face crops.

    Crops are cut at the backbone's own input size (the face package resamples them once, from the frame itself),
    scaled to [0, 1] and normalised by the backbone's mean and deviation. The embedding is the pooled output before
    the classifier: 2048 values of ``resnet50``, 4096 of ``vgg16`` (its second fully connected layer after ReLU).

    Args:
        config: Model, weights, sampling and face settings.
        runtime: Device and batch size.

    Raises:
        ConfigError: No model has that name, or it does not take pictures of that size.
        WeightsError: Weights are nowhere to be found, damaged, or of another model.
        MissingDependencyError: torchcodec is to decode and is not installed.
    """

    def __init__(self, config: ImageConfig, runtime: Runtime) -> None:
        self.name = config.extractor
        self.modality: Literal["visual", "audio"] = "visual"
        self._config = config
        self._batching = Batching(runtime.batch_size)
        self._backbone = create_backbone(
            config.extractor,
            weights=config.weights,
            seed=config.seed,
            input_size=config.input_size,
            precision=config.precision,
            device=resolve_device(runtime.device),
            option="visual.weights",
            frozen=True,
        )
        if runtime.compiled:
            self._backbone = replace(self._backbone, model=CompiledLater(self._backbone.model, runtime.batch_size))
        self.dimension = self._backbone.dimension
        self._decode_on = decoding_device(runtime)

    @property
    def preparer(self) -> ImagePreparer:
        """The part that decodes frames and crops faces."""
        device = str(self._backbone.device) if self._config.faces.detector == "retinaface" else "cpu"
        return ImagePreparer(
            self._config.frames,
            self._backbone.side,
            self._config.faces,
            device,
            self._brightening,
            decode_on=self._decode_on,
        )

    @property
    def _brightening(self) -> Brightening | None:
        config = self._config
        if not isinstance(config, DrawnImageConfig) or config.brightness is None:
            return None
        return Brightening(config.brightness, config.draw)

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers, as JSON values."""
        brightening = self._brightening
        return {
            "family": "image",
            "rules": _RULES,
            "backbone": self._backbone.identity(),
            "frames": self._config.frames,
            "faces": face_identity(self._config.faces),
            "versions": library_versions("av", "timm", "torch"),
            **({} if brightening is None else {"brightening": asdict(brightening)}),
        }

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Embed clips together; each result is float32 (valid rows of that clip, dimension)."""
        counts = [len(clip.inputs) for clip in prepared]
        results = [np.empty((count, self.dimension), dtype=np.float32) for count in counts]
        launched: tuple[list[tuple[int, slice]], Tensor] | None = None
        for batch in batches(counts, self._batching.size):
            pictures = np.concatenate([prepared[clip].inputs[rows] for clip, rows in batch])
            # Rows of pixels with their three channels side by side are the channels-last layout already.
            inputs = torch.from_numpy(pictures).permute(0, 3, 1, 2)
            following = batch, self._batching.run(self._backbone.launch, inputs)
            # The batch before is waited for only when a GPU has this one to work on.
            if launched is not None:
                store_rows(results, launched[0], launched[1].cpu().numpy())
            launched = following
        if launched is not None:
            store_rows(results, launched[0], launched[1].cpu().numpy())
        return results
