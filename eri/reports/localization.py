"""How well the most emotional sub-video is located, against annotated apexes (Liu et al. 2022, table 7)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eri.config import Runtime
from eri.data.clips import ClipTable
from eri.data.problems import Kind
from eri.data.tables import read_table
from eri.data.text import parse_number
from eri.reports.activation import ActivationMap, activation_of, draw_clip, open_ceflnet
from eri.reports.inspector import open_cached, read_cached
from eri.utils.errors import ConflictingLabelsError, DataError

_UNKNOWN = Kind("clips that are not in the data", "Name clips as the data set's table does, or leave these rows out.")
_TWICE = Kind("duplicated clips", "Keep one row for each clip.", ConflictingLabelsError)
_NO_TIME = Kind("times that cannot be", "Give seconds from the clip's start, with the end at or after the begin.")

_SAME = 1e-3
"""Seconds within which sub-videos show as much of an apex: times are rounded in containers and in the cache."""


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
    maps: Sequence[ActivationMap], apexes: Sequence[tuple[float, float] | None], labels: Sequence[int] | None = None
) -> Localization:
    """Score where the activation maps of videos are largest.

    The paper does not say when a sub-video counts as found. Here it does when no other shows more of the apex: those
    that overlap may share the place. An apex that is one moment has the same begin and end.

    Args:
        maps: One a video.
        apexes: Begin and end of each video's annotated apex in seconds; None where there is none.
        labels: Which map of each video to take, where there is one per label; None takes the first.

    Raises:
        ValueError: Not one apex, or label, for each video.

    Examples:
        >>> shown = ActivationMap(np.array([[0.0, 2.0], [1.0, 3.0]]), np.array([[0.25, 0.75]]))
        >>> score_localization([shown, shown, shown], [(2.2, 2.8), (0.0, 0.5), None])
        Localization(accuracy=0.5, chance=0.5, located=1, annotated=2, outside=0, faceless=0)
    """
    if len(maps) != len(apexes) or (labels is not None and len(labels) != len(maps)):
        raise ValueError(f"{len(maps)} maps need as many apexes and labels")
    located, outside = 0, 0
    chances = []
    for position, (shown, apex) in enumerate(zip(maps, apexes, strict=True)):
        if apex is None:
            continue
        right = _showing(shown, apex)
        if not right.any():
            outside += 1
            continue
        chances.append(float(right.mean()))
        located += bool(right[shown.located[0 if labels is None else labels[position]]])
    annotated = len(chances)
    return Localization(
        accuracy=located / annotated if annotated else None,
        chance=float(np.mean(chances)) if annotated else None,
        located=located,
        annotated=annotated,
        outside=outside,
    )


def _showing(shown: ActivationMap, apex: tuple[float, float]) -> NDArray[np.bool_]:
    """Return which sub-videos show the apex longest, bool (sub-videos,)."""
    begin, end = np.maximum(shown.spans[:, 0], apex[0]), np.minimum(shown.spans[:, 1], apex[1])
    overlap = end - begin
    touching: NDArray[np.bool_] = overlap >= 0
    most = overlap.max()  # below zero where no sub-video shows any of it
    longest: NDArray[np.bool_] = touching & (overlap >= most - _SAME)
    return longest


def read_apexes(path: Path, table: ClipTable) -> Mapping[str, tuple[float, float]]:
    """Read the begin and end of annotated apexes.

    Args:
        path: CSV or Parquet with the columns ``clip_id``, ``begin`` and ``end`` in seconds, or ``clip_id`` and ``apex``
            where the apex is a moment.
        table: The clips that it may name.

    Returns:
        Begin and end in seconds by clip id.

    Raises:
        DataError: The file cannot be read, names other clips, a clip twice, or times that cannot be.
    """
    found = read_table(path)
    columns = ("apex", "apex") if "apex" in found.columns else ("begin", "end")
    known = {clip.id for clip in table}
    problems = found.problems()
    apexes: dict[str, tuple[float, float]] = {}
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
    apexes: Mapping[str, tuple[float, float]],
    *,
    images: Path | None = None,
    runtime: Runtime = Runtime(),
) -> Localization:
    """Score how well a CEFLNet finds the annotated apexes of clips (Liu et al. 2022, table 7).

    A model with a map for each label is scored by that of the clip's own label, where it has one.

    Args:
        run: Run folder of a ``ceflnet`` with emotional activation.
        table: The clips.
        features: Folder of the feature store, with the face crops that the run was trained on.
        apexes: Begin and end in seconds by clip id, see :func:`read_apexes`.
        images: Folder to draw the map of each of these clips into; None draws none.
        runtime: Its device is used.

    Raises:
        ConfigError: Its model is another.
        StoreError: The crops are not there.
        DataError: None of the clips has a face crop.
    """
    inspector = open_ceflnet(run, runtime)
    crops = open_cached(inspector, table, features)
    maps: list[ActivationMap] = []
    kept: list[str] = []
    for clip_id in sorted(apexes):
        clip = read_cached(crops, [clip_id]).get(clip_id)
        if clip is None:
            continue
        maps.append(activation_of(inspector, clip))
        kept.append(clip_id)
        if images is not None:
            draw_clip(inspector, clip, maps[-1], images / f"{clip_id}.png", clip_id, apexes[clip_id])
    if not kept:
        raise DataError(f"none of the {len(apexes)} annotated clips has a face crop", hint="Run `eri extract` first.")
    # Of several maps that of the clip's label, or where it has none the one that holds the largest weight.
    labels = []
    for clip_id, shown in zip(kept, maps, strict=True):
        truth = table[clip_id].labels
        rows = shown.weights.max(axis=1) if truth is None else np.array(truth)
        labels.append(int(rows.argmax()) if len(shown.names) > 1 else 0)
    scored = score_localization(maps, [apexes[clip_id] for clip_id in kept], labels)
    return replace(scored, faceless=len(apexes) - len(kept))
