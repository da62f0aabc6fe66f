"""The emotional activation map: how much each moment of a video counts (Liu et al. 2022, eq. 5 and 6, figure 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from eri.config import Runtime
from eri.metrics.intensities import Floats
from eri.reports.figures import format_of_image, new_figure, save_figure
from eri.reports.inspector import Inspector, VideoInput, crop_video, open_inspector
from eri.utils.errors import ConfigError

if TYPE_CHECKING:
    from eri.models.video.ceflnet import CEFLNet

_FACES = 12  # face crops in the strip above a map
_LOCATED = "darkorange"


@dataclass(frozen=True, eq=False)
class ActivationMap:
    """The activation weights of one video's sub-videos.

    Attributes:
        spans: Begin and end of each sub-video in seconds, (sub-videos, 2); they may overlap.
        weights: (maps, sub-videos); each row sums to one.
        names: Of the maps: labels, or one empty name where the labels share a map.
    """

    spans: Floats
    weights: Floats
    names: tuple[str, ...] = ("",)

    @property
    def located(self) -> NDArray[np.int64]:
        """The sub-video of largest weight in each map (eq. 6), (maps,)."""
        largest: NDArray[np.int64] = self.weights.argmax(axis=1).astype(np.int64)
        return largest

    def over_time(self, times: Floats) -> Floats:
        """Return the mean weight of the sub-videos that each moment lies in, NaN where there is none.

        Args:
            times: Seconds.

        Returns:
            (maps, times).

        Examples:
            >>> shown = ActivationMap(np.array([[0.0, 2.0], [1.0, 3.0]]), np.array([[0.25, 0.75]]))
            >>> shown.over_time(np.array([0.5, 1.5, 2.5, 9.0]))
            array([[0.25, 0.5 , 0.75,  nan]])
        """
        inside = (times >= self.spans[:, :1]) & (times <= self.spans[:, 1:])
        covered = inside.sum(axis=0)
        total = self.weights @ inside.astype(np.float64)
        mean: Floats = np.where(covered > 0, total / np.maximum(covered, 1), np.nan)
        return mean


def read_activation(
    model: CEFLNet, frames: NDArray[np.uint8], times: Floats, names: Sequence[str] = ()
) -> ActivationMap:
    """Run a model on one video as in evaluation, and return its activation weights.

    Args:
        model: With EIAN; left in evaluation mode.
        frames: The video's face crops, RGB (frames, side, side, 3).
        times: Of the crops, in seconds, ascending.
        names: Labels of the task, where the model has a map for each.

    Raises:
        ConfigError: The model has no EIAN.
    """
    import torch

    if model.emotion is None:
        raise ConfigError(
            "the model has no emotional activation to draw", hint="Train ceflnet with emotional_activation: true."
        )
    chosen = model.select(frames)
    device = next(model.parameters()).device
    mean, std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (model.mean, model.std))
    values = torch.from_numpy(np.ascontiguousarray(chosen)).to(device).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        parts = model.eval()(((values - mean) / std)[None]).parts
    weights = parts["activation"][0].double().cpu().numpy()
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    first, last = model.pieces(len(frames)).T
    spans = np.stack([times[first] - step / 2, times[last] + step / 2], axis=1)
    return ActivationMap(spans, np.atleast_2d(weights), tuple(names) if weights.ndim == 2 else ("",))


def draw_activation(
    path: Path,
    shown: ActivationMap,
    frames: NDArray[np.uint8],
    times: Floats,
    *,
    title: str = "",
    apex: tuple[float, float] | None = None,
) -> Path:
    """Draw a strip of faces, below it the map (darker is more, grey is not read), and the weight of each sub-video.

    The located sub-video is framed in orange; of several maps it is that of the largest single weight.

    Args:
        path: Ends in .png, .svg or .pdf.
        shown: The map.
        frames: Face crops of the video, RGB (frames, height, width, 3).
        times: Of the crops, in seconds, ascending.
        title: Above the image.
        apex: Begin and end of the annotated apex in seconds, where there is one.

    Raises:
        ConfigError: The name has another ending.
    """
    heights = (0.85, 0.15 + 0.25 * len(shown.names), 1.9)
    figure = new_figure(11, sum(heights) + 0.9)
    grid = figure.add_gridspec(3, 1, height_ratios=heights)
    row = int(np.unravel_index(shown.weights.argmax(), shown.weights.shape)[0])
    span = shown.spans[shown.located[row]]
    begin, end = float(min(times[0], shown.spans.min())), float(max(times[-1], shown.spans.max()))
    _draw_faces(figure.add_subplot(grid[0]), frames, times, (begin, end), span)
    _draw_map(figure.add_subplot(grid[1]), shown, (begin, end))
    _draw_weights(figure.add_subplot(grid[2]), shown, row, (begin, end), apex)
    if title:
        figure.suptitle(title)
    return save_figure(figure, path)


def _draw_faces(axes: Any, frames: NDArray[np.uint8], times: Floats, limits: tuple[float, float], span: Floats) -> None:
    from matplotlib.patches import Rectangle

    count = min(_FACES, len(frames))
    width = (limits[1] - limits[0]) / count
    for index in range(count):
        left = limits[0] + index * width
        row = int(np.abs(times - (left + width / 2)).argmin())
        axes.imshow(frames[row], extent=(left, left + width, 0, 1), aspect="auto", interpolation="bilinear")
    located = Rectangle((span[0], 0), span[1] - span[0], 1, fill=False, lw=4, ec=_LOCATED, clip_on=False)
    axes.add_patch(located)
    axes.set(xlim=limits, ylim=(0, 1))
    axes.set_axis_off()


def _draw_map(axes: Any, shown: ActivationMap, limits: tuple[float, float]) -> None:
    moments = np.linspace(*limits, 400)
    values = np.ma.masked_invalid(shown.over_time(moments))
    # From nothing to twice what all alike would get, or more: small differences are to look small.
    darkest = max(float(shown.weights.max()), 2 / shown.weights.shape[1])
    axes.imshow(
        values,
        extent=(*limits, len(shown.names), 0),
        aspect="auto",
        cmap="Blues",
        interpolation="nearest",
        vmin=0,
        vmax=darkest,
    )
    axes.set(xlim=limits, xticks=[], facecolor="0.9")
    if any(shown.names):
        axes.set_yticks(np.arange(len(shown.names)) + 0.5, shown.names, fontsize=8)
    else:
        axes.set_yticks([0.5], ["activation"], fontsize=8)


def _draw_weights(
    axes: Any, shown: ActivationMap, row: int, limits: tuple[float, float], apex: tuple[float, float] | None
) -> None:
    weights, located = shown.weights[row], int(shown.located[row])
    if apex is not None:
        axes.axvspan(*apex, color="0.88", label="annotated apex")
    for index, ((begin, end), weight) in enumerate(zip(shown.spans, weights, strict=True)):
        colour = _LOCATED if index == located else "tab:blue"
        axes.fill_between([begin, end], [weight, weight], alpha=0.15, color=colour, lw=0)
        axes.plot([begin, end], [weight, weight], color=colour, lw=2.5, zorder=3 if index == located else 2)
    _write_weights(axes, shown.spans.mean(axis=1), weights, 0.04 * (limits[1] - limits[0]))
    axes.axhline(1 / len(weights), color="0.5", lw=0.8, ls="--", label="all alike")
    name = f" for {shown.names[row]}" if shown.names[row] else ""
    axes.set(xlim=limits, ylim=(0, 1.25 * weights.max()), xlabel="seconds", ylabel=f"weight{name}")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _write_weights(axes: Any, middles: Floats, weights: Floats, apart: float) -> None:
    """Write weights over their sub-videos, the largest first; where they would cover each other, that one alone."""
    written: list[float] = []
    for index in np.argsort(-weights, kind="stable"):
        middle = float(middles[index])
        if all(abs(middle - other) >= apart for other in written):
            written.append(middle)
            place = (middle, weights[index])
            axes.annotate(f"{weights[index]:.2f}", place, (0, 5), textcoords="offset points", ha="center", fontsize=8)


def draw_video(
    run: Path, video: Path, output: Path, *, apex: tuple[float, float] | None = None, runtime: Runtime = Runtime()
) -> Path:
    """Draw which moments of a video a CEFLNet responds to (Liu et al. 2022, figure 6).

    Args:
        run: Run folder of a ``ceflnet`` with emotional activation.
        video: Any video file, or a folder of numbered images.
        output: Ends in .png, .svg or .pdf.
        apex: Begin and end of the annotated apex in seconds, to be shown too.
        runtime: Its device is used.

    Raises:
        ConfigError: Its model is another, or the image's name has another ending.
        MediaError: The video is missing, damaged or none.
        DataError: No frame shows a face.
    """
    format_of_image(output)
    inspector = open_ceflnet(run, runtime)
    clip = crop_video(inspector, video, runtime)
    return draw_clip(inspector, clip, activation_of(inspector, clip), output, video.name, apex)


def open_ceflnet(run: Path, runtime: Runtime) -> Inspector:
    """Open a run whose model has emotional activation.

    Raises:
        ConfigError: It has none.
    """
    inspector = open_inspector(run, runtime)
    if getattr(inspector.model.network, "emotion", None) is None:
        raise ConfigError(
            f"{run}: its model '{inspector.run.config.model.name}' has no emotional activation",
            hint="Name a run of ceflnet with model.emotional_activation true.",
        )
    return inspector


def activation_of(inspector: Inspector, clip: VideoInput) -> ActivationMap:
    """Return the activation map of one clip."""
    network = cast("CEFLNet", inspector.model.network)
    return read_activation(network, clip.frames, clip.times, inspector.run.task.labels)


def draw_clip(
    inspector: Inspector,
    clip: VideoInput,
    shown: ActivationMap,
    output: Path,
    name: str,
    apex: tuple[float, float] | None,
) -> Path:
    """Draw the activation map of one clip, with its name and its prediction above."""
    predictions, _ = inspector.predict([clip])
    title = f"{name}: {inspector.strongest(predictions)[0]}"
    return draw_activation(output, shown, clip.frames, clip.times, title=title, apex=apex)
