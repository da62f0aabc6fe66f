"""How well the most emotional sub-video is located, against annotated apexes (Liu et al. 2022, table 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eri.reports.pictures.activation import ActivationMap

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
        labels: Which map of each video to take, where there is one a label; None takes the first.

    Raises:
        ValueError: Not one apex, or label, for each video.

    Examples:
        >>> shown = ActivationMap(np.array([[0.0, 2.0], [1.0, 3.0]]), np.array([[0.25, 0.75]]))
        >>> score_localization([shown, shown, shown], [(2.2, 2.8), (0.0, 0.5), None])
        Localization(accuracy=0.5, chance=0.5, located=1, annotated=2, outside=0)
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
