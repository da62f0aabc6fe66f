"""Embeddings of face crops, one per sampled frame, by an image backbone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eri.config import DrawnImageConfig, ImageConfig, Runtime, Stream
from eri.extraction.extractors.base import BaseExtractor, configured_backbone, embed_rows
from eri.extraction.extractors.preparing import Brightening, ImagePreparer
from eri.features.records import Prepared
from eri.media.faces import face_identity
from eri.models.compiling import CompiledLater
from eri.models.running import Batching, decoding_device


class ImageExtractor(BaseExtractor):
    """A timm backbone over face crops.

    Crops are cut at the backbone's own input size (the face package resamples them once, from the frame itself),
    scaled to [0, 1] and normalised by the backbone's mean and deviation. The embedding is the pooled output before
    the classifier: 2048 values of ``resnet50``, 4096 of ``vgg16`` (its second fully connected layer after ReLU).
    """

    family = "image"
    modality: Stream = "visual"
    libraries = ("av", "timm", "torch")

    def __init__(self, config: ImageConfig, runtime: Runtime) -> None:
        self.name = config.extractor
        self._config = config
        self._batching = Batching(runtime.batch_size)
        self._backbone = configured_backbone(config, config.extractor, runtime, "visual.weights", frozen=True)
        if runtime.compiled:
            self._backbone = replace(self._backbone, model=CompiledLater(self._backbone.model, runtime.batch_size))
        self.dimension = self._backbone.dimension
        detect_on = str(self._backbone.device) if config.faces.detector == "retinaface" else "cpu"
        brightening = None
        if isinstance(config, DrawnImageConfig) and config.brightness is not None:
            brightening = Brightening(config.brightness, config.draw)
        self.preparer = ImagePreparer(
            config.frames, self._backbone.side, config.faces, detect_on, brightening, decode_on=decoding_device(runtime)
        )

    def settings(self) -> dict[str, Any]:
        """Return what determines the numbers beside family, rules and libraries."""
        brightening = self.preparer.brightening
        return {
            "backbone": self._backbone.identity(),
            "frames": self._config.frames,
            "faces": face_identity(self._config.faces),
            **({} if brightening is None else {"brightening": asdict(brightening)}),
        }

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Embed clips together; each result is float32 (valid rows of that clip, dimension)."""

        def launch(batch: list[tuple[int, slice]]) -> Tensor:
            images = np.concatenate([prepared[clip].inputs[rows] for clip, rows in batch])
            # Rows of pixels with their three channels side by side are the channels-last layout already.
            return self._batching.run(self._backbone.launch, torch.from_numpy(images).permute(0, 3, 1, 2))

        return embed_rows([len(clip.inputs) for clip in prepared], self._batching.size, self.dimension, launch)
