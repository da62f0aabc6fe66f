"""Representations of clips on a plane by t-SNE, coloured by class (Liu et al. 2022, figure 7)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eri.reports.pictures.figures import new_figure, save_figure
from eri.utils.errors import DataError, MissingDependencyError

Floats = NDArray[np.float64]

LEAST_CLIPS = 4
_MARKERS = "os^Dv<>pP*Xdh"


def project(embeddings: NDArray[np.floating], *, perplexity: float = 30.0, seed: int = 0) -> Floats:
    """Lay clips out on a plane so that neighbours stay neighbours (t-SNE; van der Maaten & Hinton 2008).

    Dimensions are brought to zero mean and unit deviation first; constant ones are left out.

    Args:
        embeddings: (clips, dimension).
        perplexity: About how many neighbours count; lowered where there are few clips.
        seed: Of the optimisation.

    Returns:
        (clips, 2).

    Raises:
        DataError: Fewer than four clips, or a value that is not finite.
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        manifold = importlib.import_module("sklearn.manifold")
    except ImportError as error:
        raise MissingDependencyError(
            "t-SNE pictures need scikit-learn, which the extra 'pictures' brings",
            hint="pip install 'eri[pictures]'",
        ) from error
    values = np.asarray(embeddings, dtype=np.float64)
    if len(values) < LEAST_CLIPS:
        raise DataError(f"t-SNE needs {LEAST_CLIPS} clips or more, not {len(values)}")
    if not np.isfinite(values).all():
        raise DataError("an embedding has a value that is not finite, so that it has no place in the picture")
    deviation = values.std(axis=0)
    varied = deviation > 0
    if not varied.any():
        return np.zeros((len(values), 2))
    values = (values[:, varied] - values[:, varied].mean(axis=0)) / deviation[varied]
    fitted = manifold.TSNE(
        perplexity=min(perplexity, (len(values) - 1) / 3),
        init="pca" if min(values.shape) >= 2 else "random",
        random_state=seed,
        learning_rate="auto",
    )
    return np.asarray(fitted.fit_transform(values), dtype=np.float64)


def draw_projection(path: Path, panels: Mapping[str, Floats], classes: Sequence[str]) -> Path:
    """Draw one panel for each set of representations of the same clips, a colour and marker for each class.

    Args:
        path: Ends in .png, .svg or .pdf.
        panels: Points of :func:`project`, (clips, 2), by title.
        classes: Of each clip.

    Raises:
        ConfigError: The name has another ending.
        ValueError: A panel has not one point for each clip.
    """
    import matplotlib

    for title, points in panels.items():
        if points.shape != (len(classes), 2):
            raise ValueError(f"{title}: {points.shape} points for {len(classes)} clips")
    names = sorted(set(classes))
    colours = matplotlib.colormaps["tab10" if len(names) <= 10 else "tab20"].colors
    figure = new_figure(4.2 * len(panels) + 1.4, 4.2)
    found = np.asarray(classes)
    for index, (title, points) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for number, name in enumerate(names):
            own = points[found == name]
            colour, marker = colours[number % len(colours)], _MARKERS[number % len(_MARKERS)]
            axes.scatter(own[:, 0], own[:, 1], s=22, color=colour, marker=marker, alpha=0.8, lw=0, label=name)
        axes.set(title=title, xticks=[], yticks=[])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    return save_figure(figure, path)
