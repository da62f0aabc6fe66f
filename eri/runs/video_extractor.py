"""A trained video model as an extractor: its features before the last layer, for heads, trees and ensembles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from eri.config import CropsConfig, Runtime, VideoConfig
from eri.data.clips import Clip
from eri.extraction.extractors.crops import CropExtractor, CropPreparer
from eri.extraction.extractors.registry import register_extractor
from eri.features.crops import decode_crop_rows
from eri.features.records import Prepared
from eri.media.state import State
from eri.models.running import batches, forward_mode, library_versions, resolve_device, store_rows
from eri.training.neural import load_video_model, video_model_of
from eri.training.run_folder import WEIGHTS, read_run
from eri.utils.errors import ConfigError
from eri.utils.files import sha256_file

_RULES = 1  # version of the rules in this family: raised when its numbers change for the same settings


@dataclass(frozen=True)
class VideoPreparer:
    """Decodes a clip's crops as they are cached for training, and cuts its time grid into at most so many windows."""

    crops: CropPreparer
    windows: int

    def prepare(self, clip: Clip) -> Prepared:
        """Decode one clip; NoVideoError without video, MediaError where its file is missing, damaged or not media."""
        return self.cut(self.crops.prepare(clip))

    def cut(self, encoded: Prepared) -> Prepared:
        """Cut the encoded crops of a clip into windows.

        A window with fewer faces than the fullest repeats its last one; one without any is not valid.
        """
        images = decode_crop_rows(np.asarray(encoded.inputs))
        pieces = np.array_split(np.arange(len(encoded.times)), min(self.windows, max(1, len(encoded.times))))
        valid = encoded.states == State.VALID
        place = np.cumsum(valid) - 1
        rows = [place[piece[valid[piece]]] for piece in pieces]
        most = max(map(len, rows))
        filled = [np.concatenate([own, np.repeat(own[-1:], most - len(own))]) for own in rows if len(own)]
        inputs = images[np.stack(filled)] if filled else np.zeros((0, 1, 1, 1, 3), dtype=np.uint8)
        states = [
            State.VALID if len(own) else encoded.states[piece[0]] for own, piece in zip(rows, pieces, strict=True)
        ]
        times = np.array([encoded.times[piece].mean() for piece in pieces])
        return Prepared(encoded.clip_id, inputs, times, np.array(states, dtype=np.uint8), encoded.notes)


@register_extractor(VideoConfig)
class VideoExtractor:
    """The model of a run, up to its last layer; ConfigError where it reads embeddings, RunError of half a run."""

    def __init__(self, config: VideoConfig, runtime: Runtime) -> None:
        run = read_run(Path(config.weights))
        self._model_config = video_model_of(run.config)
        self._device = resolve_device(runtime.device)
        self._model = load_video_model(run).to(self._device)
        crops = run.config.extractors["visual"]
        if not isinstance(crops, CropsConfig):
            raise ConfigError(f"{run.path}: its model reads no face crops", hint="Take a run of a video model.")
        self._crops = CropExtractor(crops, runtime)
        self._windows = config.windows
        self._weights = sha256_file(run.path / WEIGHTS)
        self._clips_at_once = max(1, runtime.batch_size // self._model.network.frames)
        self.name: str = self._model_config.name
        self.modality: Literal["visual", "audio"] = "visual"
        self.dimension = self._model.network.dimension

    @property
    def preparer(self) -> VideoPreparer:
        """The part that decodes and crops."""
        return VideoPreparer(self._crops.preparer, self._windows)

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers, as JSON values."""
        return {
            "family": "video",
            "rules": _RULES,
            "model": self._model_config.model_dump(mode="json", exclude={"weights", "seed", "checkpoint", "freeze"}),
            "weights": self._weights,
            "windows": self._windows,
            "crops": self._crops.identity(),
            "versions": library_versions("torch"),
        }

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Embed the windows of clips; each result is float32 (valid windows of that clip, dimension)."""
        counts = [len(clip.inputs) for clip in prepared]
        results = [np.empty((count, self.dimension), dtype=np.float32) for count in counts]
        with forward_mode(self._device, "float32"):
            for batch in batches(counts, self._clips_at_once):
                windows = [window for clip, rows in batch for window in np.asarray(prepared[clip].inputs[rows])]
                images = torch.from_numpy(np.stack([self._model.network.select(window) for window in windows]))
                embedded = self._model.embed(images.to(self._device).permute(0, 1, 4, 2, 3))
                store_rows(results, batch, embedded.cpu().numpy())
        return results
