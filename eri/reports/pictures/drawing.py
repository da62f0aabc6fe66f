"""Pictures of a run: the activation map of any video, the apexes it finds, and its clips laid out on a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from eri.config import Runtime
from eri.data.clips import Clip, ClipTable, Split
from eri.reports.pictures.activation import ActivationMap, draw_activation, read_activation
from eri.reports.pictures.figures import refuse_format
from eri.reports.pictures.localization import Localization, score_localization
from eri.reports.pictures.projection import Floats, draw_projection, project
from eri.reports.pictures.seeing import Footage, Viewer, film, open_cached, open_viewer, read_footage
from eri.utils.errors import ConfigError, DataError

if TYPE_CHECKING:
    from eri.models.video.ceflnet import CEFLNet

_AT_ONCE = 8
"""Clips that are in memory, and in one forward pass."""


def draw_video(
    run: Path, video: Path, output: Path, *, apex: tuple[float, float] | None = None, runtime: Runtime = Runtime()
) -> Path:
    """Draw which moments of a video move a CEFLNet (Liu et al. 2022, figure 6).

    Args:
        run: Run folder of a ``ceflnet`` with emotional activation.
        video: Any video file, or a folder of numbered pictures.
        output: Ends in .png, .svg or .pdf.
        apex: Begin and end of the annotated apex in seconds, to be shown too.
        runtime: Its device is used.

    Raises:
        ConfigError: Its model is another, or the picture's name has another ending.
        MediaError: The video is missing, damaged or none.
        DataError: No frame shows a face.
    """
    refuse_format(output)
    viewer = _open_ceflnet(run, runtime)
    footage = film(viewer, video, runtime)
    return _draw(viewer, footage, _read(viewer, footage), output, video.name, apex)


def locate_apexes(
    run: Path,
    table: ClipTable,
    features: Path,
    apexes: Mapping[str, tuple[float, float]],
    *,
    pictures: Path | None = None,
    runtime: Runtime = Runtime(),
) -> Localization:
    """Score how well a CEFLNet finds the annotated apexes of clips (Liu et al. 2022, table 7).

    A model with a map for each label is scored by that of the clip's own label, where it has one.

    Args:
        run: Run folder of a ``ceflnet`` with emotional activation.
        table: The clips.
        features: Folder of the feature store, with the face crops that the run was trained on.
        apexes: Begin and end in seconds by clip id, see :func:`~eri.reports.pictures.apexes.read_apexes`.
        pictures: Folder to draw the map of each of these clips into; None draws none.
        runtime: Its device is used.

    Raises:
        ConfigError: Its model is another.
        StoreError: The crops are not there.
        DataError: None of the clips has a face crop.
    """
    viewer = _open_ceflnet(run, runtime)
    crops = open_cached(viewer, table, features)
    maps: list[ActivationMap] = []
    kept: list[str] = []
    for clip_id in sorted(apexes):
        footage = read_footage(crops, [clip_id]).get(clip_id)
        if footage is None:
            continue
        maps.append(_read(viewer, footage))
        kept.append(clip_id)
        if pictures is not None:
            _draw(viewer, footage, maps[-1], pictures / f"{clip_id}.png", clip_id, apexes[clip_id])
    if not kept:
        raise DataError(f"none of the {len(apexes)} annotated clips has a face crop", hint="Run `eri extract` first.")
    labels = [_own_map(table[clip_id], shown) for clip_id, shown in zip(kept, maps, strict=True)]
    scored = score_localization(maps, [apexes[clip_id] for clip_id in kept], labels)
    return replace(scored, faceless=len(apexes) - len(kept))


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
    """Draw the clips of a split as video models see them, one panel a run (Liu et al. 2022, figure 7).

    A clip's place comes from the features before the last layer by t-SNE, its colour from its class or, of
    intensities, from its strongest label.

    Args:
        runs: Run folders of video models.
        table: Data whose clips have labels.
        features: Folder of the feature store, with the face crops that the runs were trained on.
        output: Ends in .png, .svg or .pdf.
        split: Of the clips; None is all of them.
        perplexity: See :func:`~eri.reports.pictures.projection.project`.
        seed: Of t-SNE.
        runtime: Its device is used.

    Raises:
        ConfigError: A run is of no video model, or the picture's name has another ending.
        StoreError: The crops are not there.
        DataError: Fewer than four clips have labels and a face.
        MissingDependencyError: scikit-learn is not installed.
    """
    refuse_format(output)
    labelled = [clip for clip in table if clip.labels is not None and split in (None, clip.split)]
    seen = {path.name: _embed(open_viewer(path, runtime), table, features, labelled) for path in runs}
    shared = [clip for clip in labelled if all(clip.id in embeddings for embeddings in seen.values())]
    points = {
        name: project(np.array([embeddings[clip.id] for clip in shared]), perplexity=perplexity, seed=seed)
        for name, embeddings in seen.items()
    }
    return draw_projection(output, points, [table.task.labels[_strongest(clip)] for clip in shared])


def _open_ceflnet(run: Path, runtime: Runtime) -> Viewer:
    viewer = open_viewer(run, runtime)
    if getattr(viewer.model.network, "emotion", None) is None:
        raise ConfigError(
            f"{run}: its model '{viewer.run.config.model.name}' has no emotional activation",
            hint="Name a run of ceflnet with model.emotional_activation true.",
        )
    return viewer


def _read(viewer: Viewer, footage: Footage) -> ActivationMap:
    network = cast("CEFLNet", viewer.model.network)
    return read_activation(network, footage.pictures, footage.times, viewer.run.task.labels)


def _draw(
    viewer: Viewer,
    footage: Footage,
    shown: ActivationMap,
    output: Path,
    name: str,
    apex: tuple[float, float] | None,
) -> Path:
    predictions, _ = viewer.look([footage])
    title = f"{name}: {viewer.decide(predictions)[0]}"
    return draw_activation(output, shown, footage.pictures, footage.times, title=title, apex=apex)


def _own_map(clip: Clip, shown: ActivationMap) -> int:
    """Return which map of a clip to score: that of its label, or the one that holds the largest weight."""
    if len(shown.names) == 1:
        return 0
    return _strongest(clip) if clip.labels is not None else int(shown.weights.max(axis=1).argmax())


def _strongest(clip: Clip) -> int:
    return int(np.argmax(clip.labels or (0.0,)))


def _embed(viewer: Viewer, table: ClipTable, features: Path, clips: Sequence[Clip]) -> dict[str, Floats]:
    crops = open_cached(viewer, table, features)
    embeddings: dict[str, Floats] = {}
    for start in range(0, len(clips), _AT_ONCE):
        footage = read_footage(crops, [clip.id for clip in clips[start : start + _AT_ONCE]])
        if footage:
            _, output = viewer.look(list(footage.values()))
            embeddings.update(zip(footage, output.embedding.double().numpy(), strict=True))
    return embeddings
