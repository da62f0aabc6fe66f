"""Embeddings of clips on a plane by t-SNE, coloured by class (Liu et al. 2022, figure 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eri.config import Runtime
from eri.data.clips import ClipTable, Split
from eri.metrics.intensities import Floats
from eri.reports.figures import format_of_image, new_figure, save_figure
from eri.reports.inspector import open_cached, open_inspector, read_cached
from eri.utils.errors import DataError

_LEAST_CLIPS = 4
_AT_ONCE = 8  # clips that are in memory, and in one forward pass
_MARKERS = "os^Dv<>pP*Xdh"


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
