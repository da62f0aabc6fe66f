"""What a trained video model sees of clips: of any video file, or of those whose face crops are cached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eri.config import CropsConfig, Runtime
from eri.data.clips import Clip, ClipTable
from eri.extraction.extractors.crops import CropExtractor
from eri.features.crops import CachedCrops, decode_crop_rows, open_crops
from eri.features.sources import clip_sources
from eri.media.state import State
from eri.models.running import resolve_device
from eri.models.video import VideoOutput
from eri.models.video.regressor import VideoRegressor
from eri.training.features import recorded_features
from eri.training.neural import load_video_model
from eri.training.run_folder import Run, read_run
from eri.utils.errors import DataError


@dataclass(frozen=True, eq=False)
class VideoInput:
    """The face crops of one clip."""

    frames: NDArray[np.uint8]  # RGB, (crops, side, side, 3)
    times: NDArray[np.float64]  # of each, in seconds, ascending, (crops,)


@dataclass(frozen=True, eq=False)
class Inspector:
    """A run's video model with its best weights, in evaluation mode."""

    run: Run
    model: VideoRegressor

    def predict(self, clips: Sequence[VideoInput]) -> tuple[Tensor, VideoOutput]:
        """Predict clips as in evaluation; return predictions (clips, labels) and the model's output, on the CPU."""
        chosen = [self.model.network.select(clip.frames) for clip in clips]
        images = torch.from_numpy(np.stack(chosen)).to(self.model.mean.device).permute(0, 1, 4, 2, 3)
        with torch.inference_mode():
            predictions, output = self.model(images)
        parts = {name: part.cpu() for name, part in output.parts.items()}
        return predictions.cpu(), VideoOutput(output.raw.cpu(), output.embedding.cpu(), parts)


def open_inspector(run: Path, runtime: Runtime) -> Inspector:
    """Read the video model of a run folder onto the device of the runtime; ConfigError where it reads embeddings."""
    opened = read_run(run)
    return Inspector(opened, load_video_model(opened).to(resolve_device(runtime.device)).eval())


def crop_video(inspector: Inspector, video: Path, runtime: Runtime) -> VideoInput:
    """Crop the face from the frames of a video or a folder of images, as for the crops that the model was trained on.

    Raises MediaError where the file is missing, damaged or no video, and DataError where no frame shows a face.
    """
    visual = inspector.run.config.visual
    assert isinstance(visual, CropsConfig), "configs refuse a video model without crops"
    prepared = CropExtractor(visual, runtime).preparer.prepare(Clip("video", "test", video))
    if not len(prepared.inputs):
        raise DataError(
            f"{video}: none of its {len(prepared.times)} frames shows a face",
            hint="`eri probe` shows its rotation. Images of faces alone need a run with visual.faces.detector=none.",
        )
    # The cache keeps JPEG files: the model has never been given anything else.
    frames = decode_crop_rows(np.asarray(prepared.inputs))
    return VideoInput(frames, prepared.times[prepared.states == State.VALID])


def open_cached(inspector: Inspector, table: ClipTable, features: Path) -> CachedCrops:
    """Find the face crops of all clips of a table, of exactly the identity that a run was trained on.

    Raises StoreError where they are not there, or were made from other files.
    """
    folder = recorded_features(inspector.run.environment["features"], features)["visual"]
    sources = clip_sources(table, "visual", table.clips)
    return open_crops(folder, [clip.id for clip in table], sources=sources)


def read_cached(crops: CachedCrops, clip_ids: Sequence[str]) -> Mapping[str, VideoInput]:
    """Decode the crops of clips; those without a face are left out."""
    frames, counts, times = crops.read(clip_ids)
    found = {}
    for clip_id, end, count in zip(clip_ids, np.cumsum(counts), counts, strict=True):
        if count:
            own = slice(end - count, end)
            found[clip_id] = VideoInput(frames[own], times[own].astype(np.float64))
    return found
