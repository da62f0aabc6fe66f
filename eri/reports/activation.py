"""The emotional activation map: how much each moment of a video counts, and how well that locates annotated apexes.

Liu et al. 2022: equations 5 and 6, figure 6 and table 7.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from eri.config import Runtime
from eri.data.clips import ClipTable
from eri.data.tables import Kind, parse_number, read_table
from eri.metrics.intensities import Floats
from eri.reports.figures import format_of_image, new_figure, save_figure
from eri.reports.inspector import Inspector, VideoInput, crop_video, open_cached, open_inspector, read_cached
from eri.utils.errors import ConfigError, ConflictingLabelsError, DataError

if TYPE_CHECKING:
    from eri.models.video.ceflnet import CEFLNet

Span = tuple[float, float]
"""Begin and end in seconds; the same of what is one moment."""

_FACES = 12  # face crops in the strip above a map
_LOCATED = "darkorange"
# Seconds within which sub-videos show as much of an apex: times are rounded in containers and in the cache.
_SAME = 1e-3

_UNKNOWN = Kind("clips that are not in the data", "Name clips as the data set's table does, or leave these rows out.")
_TWICE = Kind("duplicated clips", "Keep one row for each clip.", ConflictingLabelsError)
_NO_TIME = Kind("times that cannot be", "Give seconds from the clip's start, with the end at or after the begin.")


@dataclass(frozen=True, eq=False)
class ActivationMap:
    """The activation weights of one video's sub-videos."""

    spans: Floats  # begin and end of each sub-video in seconds, (sub-videos, 2); they may overlap
    weights: Floats  # (maps, sub-videos); each row sums to one
    names: tuple[str, ...] = ("",)  # of the maps: labels, or one empty name where the labels share a map

    @property
    def located(self) -> NDArray[np.int64]:
        """The sub-video of largest weight in each map (eq. 6), (maps,)."""
        largest: NDArray[np.int64] = self.weights.argmax(axis=1).astype(np.int64)
        return largest

    def over_time(self, times: Floats) -> Floats:
        """Return the mean weight of the sub-videos that each second lies in, NaN where there is none, (maps, times).

        >>> shown = ActivationMap(np.array([[0.0, 2.0], [1.0, 3.0]]), np.array([[0.25, 0.75]]))
        >>> shown.over_time(np.array([0.5, 1.5, 2.5, 9.0]))
        array([[0.25, 0.5 , 0.75,  nan]])
        """
        inside = (times >= self.spans[:, :1]) & (times <= self.spans[:, 1:])
        covered = inside.sum(axis=0)
        total = self.weights @ inside.astype(np.float64)
        mean: Floats = np.where(covered > 0, total / np.maximum(covered, 1), np.nan)
        return mean


def read_activation(inspector: Inspector, clip: VideoInput) -> tuple[ActivationMap, str]:
    """Return the activation map of a clip, and its class or strongest label with its value."""
    predictions, output = inspector.predict([clip])
    weights = output.parts["activation"][0].double().numpy()
    times, labels = clip.times, inspector.run.task.labels
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    first, last = cast("CEFLNet", inspector.model.network).pieces(len(times)).T
    spans = np.stack([times[first] - step / 2, times[last] + step / 2], axis=1)
    strongest = int(predictions[0].argmax())
    shown = ActivationMap(spans, np.atleast_2d(weights), tuple(labels) if weights.ndim == 2 else ("",))
    return shown, f"{labels[strongest]} {predictions[0, strongest]:.2f}"


def draw_activation(
    path: Path, shown: ActivationMap, clip: VideoInput, *, title: str = "", apex: Span | None = None
) -> Path:
    """Draw a strip of faces, below it the map (darker is more, grey is not read), and the weight of each sub-video.

    The located sub-video is framed in orange; of several maps it is that of the largest single weight. The annotated
    apex is shown where there is one.
    """
    heights = (0.85, 0.15 + 0.25 * len(shown.names), 1.9)
    figure = new_figure(11, sum(heights) + 0.9)
    grid = figure.add_gridspec(3, 1, height_ratios=heights)
    row = int(np.unravel_index(shown.weights.argmax(), shown.weights.shape)[0])
    begin, end = float(min(clip.times[0], shown.spans.min())), float(max(clip.times[-1], shown.spans.max()))
    _draw_faces(figure.add_subplot(grid[0]), clip, (begin, end), shown.spans[shown.located[row]])
    _draw_map(figure.add_subplot(grid[1]), shown, (begin, end))
    _draw_weights(figure.add_subplot(grid[2]), shown, row, (begin, end), apex)
    if title:
        figure.suptitle(title)
    return save_figure(figure, path)


def _draw_faces(axes: Any, clip: VideoInput, limits: Span, located: Floats) -> None:
    from matplotlib.patches import Rectangle

    edges = np.linspace(*limits, min(_FACES, len(clip.frames)) + 1)
    for left, right in pairwise(edges):
        row = int(np.abs(clip.times - (left + right) / 2).argmin())
        axes.imshow(clip.frames[row], extent=(left, right, 0, 1), aspect="auto", interpolation="bilinear")
    width = located[1] - located[0]
    axes.add_patch(Rectangle((located[0], 0), width, 1, fill=False, lw=4, ec=_LOCATED, clip_on=False))
    axes.set(xlim=limits, ylim=(0, 1))
    axes.set_axis_off()


def _draw_map(axes: Any, shown: ActivationMap, limits: Span) -> None:
    values = np.ma.masked_invalid(shown.over_time(np.linspace(*limits, 400)))
    # From nothing to twice what all alike would get, or more: small differences are to look small.
    darkest = max(float(shown.weights.max()), 2 / shown.weights.shape[1])
    extent, style = (*limits, len(shown.names), 0), {"cmap": "Blues", "interpolation": "nearest"}
    axes.imshow(values, extent=extent, aspect="auto", vmin=0, vmax=darkest, **style)
    axes.set(xlim=limits, xticks=[], facecolor="0.9")
    names = shown.names if any(shown.names) else ["activation"]
    axes.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=8)


def _draw_weights(axes: Any, shown: ActivationMap, row: int, limits: Span, apex: Span | None) -> None:
    weights, located = shown.weights[row], int(shown.located[row])
    if apex is not None:
        axes.axvspan(*apex, color="0.88", label="annotated apex")
    for index, ((begin, end), weight) in enumerate(zip(shown.spans, weights, strict=True)):
        colour = _LOCATED if index == located else "tab:blue"
        axes.fill_between([begin, end], [weight, weight], alpha=0.15, color=colour, lw=0)
        axes.plot([begin, end], [weight, weight], color=colour, lw=2.5, zorder=3 if index == located else 2)
    # The largest weights are written first; where others would cover them, these are not.
    written: list[float] = []
    for index in np.argsort(-weights, kind="stable"):
        middle = float(shown.spans[index].mean())
        if all(abs(middle - other) >= 0.04 * (limits[1] - limits[0]) for other in written):
            written.append(middle)
            place = (middle, weights[index])
            axes.annotate(f"{weights[index]:.2f}", place, (0, 5), textcoords="offset points", ha="center", fontsize=8)
    axes.axhline(1 / len(weights), color="0.5", lw=0.8, ls="--", label="all alike")
    name = f" for {shown.names[row]}" if shown.names[row] else ""
    axes.set(xlim=limits, ylim=(0, 1.25 * weights.max()), xlabel="seconds", ylabel=f"weight{name}")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=2, fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def draw_video(run: Path, video: Path, output: Path, *, apex: Span | None = None, runtime: Runtime = Runtime()) -> Path:
    """Draw which moments of a video, or a folder of numbered images, a CEFLNet responds to (figure 6).

    Raises ConfigError for another model or image format, MediaError for a video that cannot be read, and DataError
    where no frame shows a face.
    """
    format_of_image(output)
    inspector = _open_ceflnet(run, runtime)
    clip = crop_video(inspector, video, runtime)
    shown, strongest = read_activation(inspector, clip)
    return draw_activation(output, shown, clip, title=f"{video.name}: {strongest}", apex=apex)


def _open_ceflnet(run: Path, runtime: Runtime) -> Inspector:
    inspector = open_inspector(run, runtime)
    if getattr(inspector.model.network, "emotion", None) is None:
        raise ConfigError(
            f"{run}: its model '{inspector.run.config.model.name}' has no emotional activation",
            hint="Name a run of ceflnet with model.emotional_activation true.",
        )
    return inspector


@dataclass(frozen=True)
class Localization:
    """How often the sub-video of largest weight is the one that shows the apex.

    Attributes:
        accuracy: Share of the annotated videos; None where none is annotated.
        chance: The same for a sub-video drawn at random.
        located: Videos whose apex was located.
        annotated: Videos with an apex within their sub-videos.
        outside: Videos whose annotated apex none of their sub-videos shows; they are left out.
        faceless: Videos without a face crop; they are left out, too.
    """

    accuracy: float | None
    chance: float | None
    located: int
    annotated: int
    outside: int
    faceless: int = 0


def score_localization(
    maps: Sequence[ActivationMap], apexes: Sequence[Span], labels: Sequence[int] = ()
) -> Localization:
    """Score where the activation maps of videos are largest; ``labels`` say which map of each, else it is the first.

    The paper does not say when a sub-video counts as found. Here it does when no other shows more of the apex: those
    that overlap may share the place.

    >>> shown = ActivationMap(np.array([[0.0, 2.0], [1.0, 3.0]]), np.array([[0.25, 0.75]]))
    >>> score_localization([shown, shown], [(2.2, 2.8), (0.0, 0.5)])
    Localization(accuracy=0.5, chance=0.5, located=1, annotated=2, outside=0, faceless=0)
    """
    located, chances = 0, []
    for shown, apex, label in zip(maps, apexes, labels or [0] * len(maps), strict=True):
        overlap = np.minimum(shown.spans[:, 1], apex[1]) - np.maximum(shown.spans[:, 0], apex[0])
        right = (overlap >= 0) & (overlap >= overlap.max() - _SAME)
        if right.any():
            chances.append(float(right.mean()))
            located += bool(right[shown.located[label]])
    annotated = len(chances)
    accuracy, chance = (located / annotated, float(np.mean(chances))) if annotated else (None, None)
    return Localization(accuracy, chance, located, annotated, len(maps) - annotated)


def read_apexes(path: Path, table: ClipTable) -> Mapping[str, Span]:
    """Read when the annotated apexes of a table's clips are, by clip id.

    The file is CSV or Parquet with the columns ``clip_id``, ``begin`` and ``end`` in seconds, or ``clip_id`` and
    ``apex`` where the apex is a moment. Raises DataError where it cannot be read, names other clips, a clip twice, or
    times that cannot be.
    """
    found = read_table(path)
    columns = ("apex", "apex") if "apex" in found.columns else ("begin", "end")
    known = {clip.id for clip in table}
    problems = found.problems()
    apexes: dict[str, Span] = {}
    key, first, last = found.positions(("clip_id", *columns))
    for line, cells in zip(found.lines, found.rows, strict=True):
        clip_id, begin, end = cells[key], parse_number(cells[first]), parse_number(cells[last])
        if clip_id not in known:
            problems.add(_UNKNOWN, line, f"'{clip_id}'")
        elif clip_id in apexes:
            problems.add(_TWICE, line, f"clip {clip_id} is further up, too")
        elif begin is None or end is None or not 0 <= begin <= end < math.inf:
            problems.add(_NO_TIME, line, f"clip {clip_id}: from '{cells[first]}' to '{cells[last]}'")
        else:
            apexes[clip_id] = (float(begin), float(end))
    problems.check()
    if not apexes:
        raise DataError(f"{path}: names no clip")
    return apexes


def locate_apexes(
    run: Path,
    table: ClipTable,
    features: Path,
    apexes: Mapping[str, Span],
    *,
    images: Path | None = None,
    runtime: Runtime = Runtime(),
) -> Localization:
    """Score how well a CEFLNet finds the annotated apexes of clips (table 7), from the face crops of its features.

    The map of each clip is drawn into the folder ``images`` where one is named. A model with a map for each label is
    scored by that of the clip's own label, or where it has none by the one that holds the largest weight.

    Raises ConfigError for another model, StoreError where the crops are not there, and DataError where none of the
    clips has a face crop.
    """
    inspector = _open_ceflnet(run, runtime)
    crops = open_cached(inspector, table, features)
    maps: list[ActivationMap] = []
    spans, labels = [], []
    for clip_id, apex in sorted(apexes.items()):
        clip = read_cached(crops, [clip_id]).get(clip_id)
        if clip is None:
            continue
        shown, strongest = read_activation(inspector, clip)
        maps.append(shown)
        spans.append(apex)
        truth = table[clip_id].labels
        rows = shown.weights.max(axis=1) if truth is None else np.array(truth)
        labels.append(int(rows.argmax()) if len(shown.names) > 1 else 0)
        if images is not None:
            draw_activation(images / f"{clip_id}.png", shown, clip, title=f"{clip_id}: {strongest}", apex=apex)
    if not maps:
        raise DataError(f"none of the {len(apexes)} annotated clips has a face crop", hint="Run `eri extract` first.")
    return replace(score_localization(maps, spans, labels), faceless=len(apexes) - len(maps))
