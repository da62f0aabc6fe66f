"""Functionals: a clip's rows of features as one vector, whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.config import Functional
from eri.metrics.intensities import Floats
from eri.training.features import FeatureSet
from eri.utils.errors import DataError


def _slope(values: Floats, times: Floats) -> Floats:
    centred = times - times.mean()
    spread = float(centred @ centred)
    slope: Floats = centred @ (values - values.mean(axis=0)) / spread if spread > 0 else np.zeros(values.shape[1])
    return slope


_RULES: Mapping[Functional, Callable[[Floats, Floats], Floats]] = {
    "mean": lambda values, _: values.mean(axis=0),
    "std": lambda values, _: values.std(axis=0),
    "p10": lambda values, _: np.percentile(values, 10, axis=0),
    "p50": lambda values, _: np.percentile(values, 50, axis=0),
    "p90": lambda values, _: np.percentile(values, 90, axis=0),
    "slope": _slope,
    "range": lambda values, _: np.ptp(values, axis=0),
}


def summarize(values: NDArray[np.floating[Any]], times: Floats, functionals: Sequence[Functional]) -> Floats:
    """Describe the valid rows of one clip, (rows, dimension), by one functional of all features after the other.

    ``std`` is the population's; percentiles are interpolated linearly; ``slope`` is that of the least-squares line over
    the times, per second, and 0 where all rows share one time; ``range`` is the largest value minus the smallest.

    >>> summarize(np.array([[1.0], [3.0]]), np.array([0.0, 0.5]), ["mean", "slope", "range"]).tolist()
    [2.0, 4.0, 2.0]
    """
    rows = np.asarray(values, dtype=np.float64)
    return np.concatenate([_RULES[name](rows, times) for name in functionals])


def clip_functionals(
    features: FeatureSet,
    ids: Sequence[str],
    functionals: Sequence[Functional],
    on_clip: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Describe clips by :func:`summarize`, modality after modality, (clips, functionals · sum of the dimensions).

    NaN where a clip has no valid row of a modality. ``on_clip`` is called after each clip with the number of those
    done. Raises DataError where a valid row holds a value that is not a finite number.
    """
    length = len(functionals) * sum(features.dimensions.values())
    result = np.full((len(ids), length), np.nan, dtype=np.float32)
    for index, clip_id in enumerate(ids):
        start = 0
        for name, modality in features.modalities.items():
            stop = start + len(functionals) * modality.dimension
            values, counts, times = modality.read([clip_id])
            if not np.isfinite(values).all():
                raise DataError(
                    f"clip '{clip_id}': its {name} features hold a value that is not a finite number",
                    hint="Extract or import the clip's features again.",
                )
            if counts[0]:
                result[index, start:stop] = summarize(values, times.astype(np.float64), functionals)
            start = stop
        if on_clip is not None:
            on_clip(index + 1)
    return result


def functional_names(
    recorded: Mapping[str, Mapping[str, Any]], dimensions: Mapping[str, int], functionals: Sequence[Functional]
) -> list[str]:
    """Name each value of :func:`clip_functionals`, such as ``audio.mfcc_03.p90`` or ``visual.0117.slope``.

    The identity of features that a run records may name their ``columns``.

    >>> functional_names({"audio": {"identity": {"columns": ["loudness"]}}}, {"audio": 1}, ["mean", "std"])
    ['audio.loudness.mean', 'audio.loudness.std']
    """
    names = []
    for modality, dimension in dimensions.items():
        columns = recorded.get(modality, {}).get("identity", {}).get("columns")
        if not isinstance(columns, list) or len(columns) != dimension:
            columns = [f"{index:0{len(str(dimension - 1))}d}" for index in range(dimension)]
        names += [f"{modality}.{column}.{functional}" for functional in functionals for column in columns]
    return names
