"""Embeddings of clips on a plane by t-SNE, coloured by class (Liu et al. 2022, figure 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eri.config import Runtime
from eri.data.clips import Clip, ClipTable, Split
from eri.metrics.intensities import Floats
from eri.reports.figures import format_of_image, new_figure, save_figure
from eri.reports.inspector import Inspector, open_cached, open_inspector, read_cached
from eri.utils.errors import DataError

LEAST_CLIPS = 4
_AT_ONCE = 8  # clips that are in memory, and in one forward pass
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
    """
    from sklearn.manifold import TSNE

    values = np.asarray(embeddings, dtype=np.float64)
    if len(values) < LEAST_CLIPS:
        raise DataError(f"t-SNE needs {LEAST_CLIPS} clips or more, not {len(values)}")
    if not np.isfinite(values).all():
        raise DataError("an embedding has a value that is not finite, so that it has no place in the image")
    deviation = values.std(axis=0)
    varied = deviation > 0
    if not varied.any():
        return np.zeros((len(values), 2))
    values = (values[:, varied] - values[:, varied].mean(axis=0)) / deviation[varied]
    fitted = TSNE(
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


def draw_embeddings(
    runs: Sequence[Path],
    table: ClipTable,
    features: Path,
    output: Path,
    *,
    split: Split | None = "val",
    perplexity: float = 30.0,
    seed: int = 0,
    runtime: Runtime = Runtime(),
) -> Path:
    """Draw the clips of a split as video models embed them, one panel per run (Liu et al. 2022, figure 7).

    A clip's place comes from the features before the last layer by t-SNE, its colour from its class or, of
    intensities, from its strongest label.

    Args:
        runs: Run folders of video models.
        table: Data whose clips have labels.
        features: Folder of the feature store, with the face crops that the runs were trained on.
        output: Ends in .png, .svg or .pdf.
        split: Of the clips; None is all of them.
        perplexity: See :func:`project`.
        seed: Of t-SNE.
        runtime: Its device is used.

    Raises:
        ConfigError: A run is of no video model, or the image's name has another ending.
        StoreError: The crops are not there.
        DataError: Fewer than four clips have labels and a face.
    """
    format_of_image(output)
    labelled = [clip for clip in table if clip.labels is not None and split in (None, clip.split)]
    seen = {path.name: _embed(open_inspector(path, runtime), table, features, labelled) for path in runs}
    shared = [clip for clip in labelled if all(clip.id in embeddings for embeddings in seen.values())]
    points = {
        name: project(np.array([embeddings[clip.id] for clip in shared]), perplexity=perplexity, seed=seed)
        for name, embeddings in seen.items()
    }
    strongest = [table.task.labels[int(np.argmax(clip.labels or (0.0,)))] for clip in shared]
    return draw_projection(output, points, strongest)


def _embed(inspector: Inspector, table: ClipTable, features: Path, clips: Sequence[Clip]) -> dict[str, Floats]:
    crops = open_cached(inspector, table, features)
    embeddings: dict[str, Floats] = {}
    for start in range(0, len(clips), _AT_ONCE):
        inputs = read_cached(crops, [clip.id for clip in clips[start : start + _AT_ONCE]])
        if inputs:
            _, output = inspector.predict(list(inputs.values()))
            embeddings.update(zip(inputs, output.embedding.double().numpy(), strict=True))
    return embeddings
