"""What a trained video model sees of clips: of any video file, or of those whose face crops are cached.

Their embeddings are drawn on a plane by t-SNE, coloured by class (Liu et al. 2022, figure 7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eri.config import CropsConfig, Runtime
from eri.data.clips import Clip, ClipTable, Split
from eri.extraction.extractors.crops import CropExtractor
from eri.features.crops import CachedCrops, decode_crop_rows, open_crops
from eri.features.sources import clip_sources
from eri.media.state import State
from eri.metrics.intensities import Floats
from eri.models.running import resolve_device
from eri.models.video import VideoOutput
from eri.models.video.regressor import VideoRegressor
from eri.reports.figures import format_of_image, new_figure, save_figure
from eri.training.features import recorded_features
from eri.training.neural import load_video_model
from eri.training.run_folder import Run, read_run
from eri.utils.errors import DataError

_LEAST_CLIPS = 4
_AT_ONCE = 8  # clips that are in memory, and in one forward pass
_MARKERS = "os^Dv<>pP*Xdh"


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


def project(embeddings: NDArray[np.floating], *, perplexity: float = 30.0, seed: int = 0) -> Floats:
    """Lay clips out on a plane, (clips, 2), so that neighbours stay neighbours (t-SNE; van der Maaten & Hinton 2008).

    Dimensions are brought to zero mean and unit deviation first; constant ones are left out. The perplexity is about
    how many neighbours count; of few clips it is lowered. Raises DataError for fewer than four clips or a value that is
    not finite.
    """
    from sklearn.manifold import TSNE

    values = np.asarray(embeddings, dtype=np.float64)
    if len(values) < _LEAST_CLIPS:
        raise DataError(f"t-SNE needs {_LEAST_CLIPS} clips or more, not {len(values)}")
    if not np.isfinite(values).all():
        raise DataError("an embedding has a value that is not finite, so that it has no place in the image")
    deviation = values.std(axis=0)
    varied = deviation > 0
    if not varied.any():
        return np.zeros((len(values), 2))
    values = (values[:, varied] - values[:, varied].mean(axis=0)) / deviation[varied]
    init = "pca" if min(values.shape) >= 2 else "random"
    fitted = TSNE(perplexity=min(perplexity, (len(values) - 1) / 3), init=init, random_state=seed, learning_rate="auto")
    return np.asarray(fitted.fit_transform(values), dtype=np.float64)


def draw_projection(path: Path, panels: Mapping[str, Floats], classes: Sequence[str]) -> Path:
    """Draw one panel of points, (clips, 2), for each title: the same clips, a colour and marker for each class."""
    import matplotlib

    names = sorted(set(classes))
    colours = matplotlib.colormaps["tab10" if len(names) <= 10 else "tab20"].colors
    figure = new_figure(4.2 * len(panels) + 1.4, 4.2)
    for index, (title, points) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for number, name in enumerate(names):
            x, y = points[np.asarray(classes) == name].T
            colour, marker = colours[number % len(colours)], _MARKERS[number % len(_MARKERS)]
            axes.scatter(x, y, s=22, color=colour, marker=marker, alpha=0.8, lw=0, label=name)
        axes.set(title=title, xticks=[], yticks=[])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    return save_figure(figure, path)


def draw_embeddings(
    runs: Sequence[Path],
    table: ClipTable,
    features: Path,
    output: Path,
    *,
    split: Split | None,
    perplexity: float,
    seed: int,
    runtime: Runtime,
) -> Path:
    """Draw the labelled clips of a split, or all, as video models embed them, one panel per run (figure 7).

    A clip's place comes from the features before the last layer by t-SNE, its colour from its class or, of
    intensities, from its strongest label. ``features`` is the folder of the feature store with the face crops.

    Raises ConfigError where a run is of no video model or the image's name has another ending, StoreError where the
    crops are not there, and DataError where fewer than four clips have labels and a face.
    """
    format_of_image(output)
    labelled = [clip for clip in table if clip.labels is not None and split in (None, clip.split)]
    seen: dict[str, dict[str, Floats]] = {}
    for path in runs:
        inspector = open_inspector(path, runtime)
        crops = open_cached(inspector, table, features)
        embeddings = seen[path.name] = {}
        for start in range(0, len(labelled), _AT_ONCE):
            inputs = read_cached(crops, [clip.id for clip in labelled[start : start + _AT_ONCE]])
            if inputs:
                _, found = inspector.predict(list(inputs.values()))
                embeddings.update(zip(inputs, found.embedding.double().numpy(), strict=True))
    shared = [clip for clip in labelled if all(clip.id in embeddings for embeddings in seen.values())]
    points = {
        name: project(np.array([embeddings[clip.id] for clip in shared]), perplexity=perplexity, seed=seed)
        for name, embeddings in seen.items()
    }
    strongest = [table.task.labels[int(np.argmax(clip.labels or (0.0,)))] for clip in shared]
    return draw_projection(output, points, strongest)
