"""What a trained video model sees of clips: of any video file, or of those whose face crops are cached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
class Footage:
    """The face crops of one clip.

    Attributes:
        pictures: RGB, uint8 (crops, side, side, 3).
        times: Of each, in seconds, ascending, float64 (crops,).
    """

    pictures: NDArray[np.uint8]
    times: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Viewer:
    """A run's video model with its best weights.

    Attributes:
        run: The run.
        model: The model, in evaluation mode.
    """

    run: Run
    model: VideoRegressor

    @property
    def crops(self) -> CropsConfig:
        """How the faces that it learnt from were cropped."""
        visual = self.run.config.visual
        assert isinstance(visual, CropsConfig), "configs refuse a video model without crops"
        return visual

    def look(self, footage: Sequence[Footage]) -> tuple[Tensor, VideoOutput]:
        """Return what the model makes of clips as in evaluation, on the CPU, in their order.

        Args:
            footage: At least one clip, each of at least one crop.

        Returns:
            Predictions (clips, labels), and what is behind them.
        """
        chosen = [self.model.network.select(one.pictures) for one in footage]
        pictures = torch.from_numpy(np.stack(chosen)).to(self.model.mean.device).permute(0, 1, 4, 2, 3)
        with torch.inference_mode():
            predictions, output = self.model(pictures)
        parts = {name: part.cpu() for name, part in output.parts.items()}
        return predictions.cpu(), VideoOutput(output.raw.cpu(), output.embedding.cpu(), parts)

    def decide(self, predictions: Tensor) -> list[str]:
        """Return each clip's class or strongest label, with its figure."""
        strongest = predictions.argmax(dim=1).tolist()
        return [f"{self.run.task.labels[place]} {predictions[row, place]:.2f}" for row, place in enumerate(strongest)]


def open_viewer(run: Path, runtime: Runtime = Runtime()) -> Viewer:
    """Read a run's video model.

    Args:
        run: The run folder.
        runtime: Its device is used.

    Raises:
        RunError: It is incomplete.
        ConfigError: Its model reads embeddings.
    """
    opened = read_run(run)
    return Viewer(opened, load_video_model(opened).to(resolve_device(runtime.device)).eval())


def film(viewer: Viewer, video: Path, runtime: Runtime = Runtime()) -> Footage:
    """Crop the face from a video's frames, as the crops that the model learnt from were cropped.

    Args:
        viewer: Its run says how.
        video: Any video file, or a folder of numbered pictures.
        runtime: Its device is used by the face detector.

    Raises:
        MediaError: The file is missing, damaged or no video.
        DataError: No frame shows a face.
    """
    prepared = CropExtractor(viewer.crops, runtime).preparer.prepare(Clip("video", "test", video))
    if not len(prepared.inputs):
        raise DataError(
            f"{video}: none of its {len(prepared.times)} frames shows a face",
            hint="`eri probe` shows its rotation. Pictures of faces alone need a run with visual.faces.detector=none.",
        )
    # The cache keeps JPEG files: the model has never seen anything else.
    pictures = decode_crop_rows(np.asarray(prepared.inputs))
    return Footage(pictures, prepared.times[prepared.states == State.VALID])


def open_cached(viewer: Viewer, table: ClipTable, features: Path) -> CachedCrops:
    """Look up the face crops of all clips of a table, of the very identity that a run was trained on.

    Raises:
        StoreError: They are not there, or were made from other files.
    """
    folder = recorded_features(viewer.run.environment["features"], features)["visual"]
    sources = clip_sources(table, "visual", table.clips)
    return open_crops(folder, [clip.id for clip in table], sources=sources)


def read_footage(crops: CachedCrops, clip_ids: Sequence[str]) -> Mapping[str, Footage]:
    """Decode the crops of clips; those without a face are left out."""
    return dict(_read_footage(crops, clip_ids))


def _read_footage(crops: CachedCrops, clip_ids: Sequence[str]) -> Iterator[tuple[str, Footage]]:
    pictures, counts, times = crops.read(clip_ids)
    ends = np.cumsum(counts)
    for clip_id, end, count in zip(clip_ids, ends, counts, strict=True):
        if count:
            yield clip_id, Footage(pictures[end - count : end], times[end - count : end].astype(np.float64))
