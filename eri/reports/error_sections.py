"""Sections of a report on where predictions go wrong: scatter, calibration, confusions, groups, single clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from eri.config import FaceConfig
from eri.data.adapters.hume_reaction import read_attributes
from eri.features.folder import FeatureFolder
from eri.media.audio import stream_audio
from eri.media.faces import crop_faces
from eri.media.state import State
from eri.media.video import read_frames
from eri.metrics.intensities import Floats, pearson
from eri.metrics.recognition import Recognition, decide
from eri.reports.charts import PANEL, Bar, Row, draw_intervals, draw_matrix, draw_pairs, draw_panel, draw_waveform
from eri.reports.page import (
    Block,
    Chart,
    ClipCard,
    Figure,
    Gallery,
    Paragraphs,
    Table,
    Value,
    data_url,
    number,
    shorten,
)
from eri.reports.systems import System
from eri.storage.mirror import at_hand
from eri.utils.errors import MediaError

_BINS = 8
_MOST_CLIPS = 2000  # drawn and listed; of more clips, this many spread evenly over their ids
_MOST_GROUPS = 12  # of one kind that are shown: the largest ones
_MOST_BARS = 12  # of one clip
_LETTERS = 22
_NORMAL = 1.96
_LEAST_PROBABILITY = 1e-12
_SIDE, _LONGEST_SIDE = 88, 480  # of faces that are shown, and of frames that they are found in
_SAMPLES = 800  # whose loudest stands for them: 50 ms
_COLUMNS = 150


def make_scatter(system: System) -> list[Block]:
    """Return predicted against true values, one panel per label."""
    labels = system.task.labels
    chosen = np.unique(np.linspace(0, len(system.ids) - 1, min(len(system.ids), _MOST_CLIPS)).round().astype(int))
    limits = _limits(system)
    correlations = pearson(system.predictions, system.truth).tolist()
    charts = []
    for place, label in enumerate(labels):
        true, predicted = system.truth[chosen, place], system.predictions[chosen, place]
        points = zip(chosen, true, predicted, strict=True)
        names = [f"{system.ids[i]}: true {a:.2f}, predicted {b:.2f}" for i, a, b in points]
        title = f"{label}: predicted against true"
        svg = draw_panel(true, predicted, title, ("true", "predicted"), limits, names=names)
        charts.append(Chart(svg, f"{shorten(label, _LETTERS)}, r {number(correlations[place], 2)}", PANEL))
    columns = ["clip", *(f"{label}: {what}" for label in labels for what in ("true", "predicted"))]
    values = np.stack([system.truth, system.predictions], axis=2).reshape(len(system.ids), -1)
    rows = [[system.ids[i], *values[i].tolist()] for i in chosen]
    text = "Every point is a clip; on the dashed line a prediction is right."
    if len(chosen) < len(system.ids):
        text += f" {len(chosen)} of {len(system.ids)} clips are shown; predictions.parquet holds all."
    return [Figure("Predicted against true", charts, [Table("Every clip", columns, rows)], text)]


def _limits(system: System) -> tuple[float, float]:
    values = np.concatenate([system.predictions.ravel(), system.truth.ravel()])
    return min(system.task.low, float(values.min())), max(system.task.high, float(values.max()))


def make_calibration(system: System) -> list[Block]:
    """Return the truth of clips with similar predictions: of labels their mean, of classes their accuracy."""
    if system.task.is_classification:
        confidence = system.predictions.max(axis=1)
        bins = _equal_bins(confidence, _right(system))
        off = sum(count * abs(x - y) for count, x, y, _, _ in bins) / len(confidence)
        svg = _calibration(bins, "share decided correctly by confidence", ("confidence", "share correct"), (0.0, 1.0))
        columns = ["clips", "mean confidence", "share correct", "low", "high"]
        text = f"Confidence is the probability of the class decided for; it is off by {off:.3f} on average."
        return [Figure("Calibration", [Chart(svg, width=PANEL)], [Table("Calibration", columns, bins)], text)]
    charts = []
    rows: list[Sequence[Value]] = []
    for place, label in enumerate(system.task.labels):
        bins = _equal_bins(system.predictions[:, place], system.truth[:, place])
        rows += [(label, *values) for values in bins]
        title = f"{label}: mean truth of clips with similar predictions"
        svg = _calibration(bins, title, ("mean predicted", "mean true"), _limits(system))
        charts.append(Chart(svg, shorten(label, _LETTERS), PANEL))
    columns = ["label", "clips", "mean predicted", "mean true", "low", "high"]
    text = (
        f"Clips in up to {_BINS} parts of equal size by their prediction. Below the dashed line predictions are too "
        "high, above it too low. Whiskers: 95 % interval of the mean."
    )
    return [Figure("Calibration", charts, [Table("Calibration", columns, rows)], text)]


_Bins = list[tuple[int, float, float, float, float]]


def _equal_bins(predicted: Floats, true: Floats) -> _Bins:
    """Return clips, mean prediction, mean truth and its interval of parts of equal size."""
    order = np.argsort(predicted, kind="stable")
    parts = np.array_split(order, max(1, min(_BINS, len(order) // 5)))
    return [(len(part), float(predicted[part].mean()), *_mean(true[part])) for part in parts]


def _mean(values: Floats) -> tuple[float, float, float]:
    mean = float(values.mean())
    reach = _NORMAL * float(values.std(ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return mean, mean - reach, mean + reach


def _calibration(bins: _Bins, title: str, axes: tuple[str, str], limits: tuple[float, float]) -> Markup:
    _, x, y, low, high = np.array(bins, dtype=np.float64).T
    return draw_panel(x, y, title, axes, limits, whiskers=list(zip(low, high, strict=True)), joined=True)


def _right(system: System) -> Floats:
    return np.asarray(decide(system.predictions) == decide(system.truth), dtype=np.float64)


def make_confusion(system: System) -> list[Block]:
    """Return the confusion matrix of a classification."""
    scores, names = system.scores, list(system.task.labels)
    assert isinstance(scores, Recognition)
    counts = np.array(scores.confusion, dtype=np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    texts = [[f"{int(count)}" for count in row] for row in counts]
    svg = draw_matrix(shares, names, texts, "confusion matrix", ("class", "decided"))
    rows: list[list[Value]] = [[name, *map(int, row)] for name, row in zip(names, counts, strict=True)]
    table = Table("Clips by class (rows) and decision (columns)", ["class", *names], rows)
    text = "Clips of each class (row) by what was decided for them (column); colour is the share of the row."
    return [Figure("Confusion matrix", [Chart(svg, width=420)], [table], text)]


def make_groups(system: System) -> list[Block]:
    """Return how predictions of groups of clips differ from the truth."""
    groups = _group_clips(system)
    if not groups:
        return [Paragraphs(["The data name no country or age, and all clips are alike in face and audio."])]
    charts, tables = zip(*(_group_chart(system, part, found) for part, found in groups.items()), strict=True)
    what = "Share of clips decided correctly." if system.task.is_classification else "Residuals over all labels."
    return [Figure("Groups", charts, tables, f"{what} Whiskers: 95 % interval of the mean. In brackets: clips.")]


def _group_clips(system: System) -> dict[str, pd.Series[str]]:
    """Return the group of each clip by attribute and by what features show; what has one group only is left out."""
    parts = read_attributes(system.table).reindex(list(system.ids))
    for modality, folder in system.folders.items():
        parts[modality] = _describe_clips(folder, modality, system.ids)
    found = {}
    for column, groups in parts.items():
        known = groups[groups.ne("")]
        kept = known.value_counts().index[:_MOST_GROUPS]
        if len(kept) > 1:
            found[{"visual": "Face"}.get(str(column), str(column).capitalize())] = known[known.isin(kept)]
    return found


def _describe_clips(folder: FeatureFolder, modality: str, ids: Sequence[str]) -> list[str]:
    """Return for each clip what its features show of its face, or of its audio."""
    all_valid, some_valid, reason, with_reason, none_valid = (
        ("face in every frame", "face in some frames", State.BLACK_FRAME, "black", "no face")
        if modality == "visual"
        else ("audio", "audio", State.NO_AUDIO, "no audio", "silent")
    )
    entries, described = folder.entries(ids), []
    for clip_id in ids:
        entry = entries.get(clip_id)
        if entry is None:
            described.append("no features")
        elif valid := entry.state_counts[State.VALID]:
            described.append(all_valid if valid == entry.rows else some_valid)
        else:
            described.append(with_reason if entry.state_counts[reason] else none_valid)
    return described


def _group_chart(system: System, part: str, groups: pd.Series[str]) -> tuple[Chart, Table]:
    classes = system.task.is_classification
    residuals = system.predictions - system.truth
    values, axis = residuals.mean(axis=1), "mean of predicted minus true"
    if classes:
        values, axis = _right(system), "share correct"
    own = groups.reindex(list(system.ids))
    rows: list[Row] = []
    cells: list[list[Value]] = []
    for name in sorted(set(groups), key=lambda name: (name != "under 20", name)):
        chosen = own.eq(name).to_numpy()
        mean, low, high = _mean(values[chosen])
        count = int(chosen.sum())
        rows.append(Row(f"{name} ({count})", (Bar(mean, low, high),)))
        cells.append([name, count, mean, low, high])
        if not classes:
            correlations = pearson(system.predictions[chosen], system.truth[chosen]) if count > 2 else None
            error = float(np.abs(residuals[chosen]).mean())
            correlation = None if correlations is None else float(correlations.mean())
            cells[-1] += [error, correlation, *residuals[chosen].mean(axis=0).tolist()]
    columns = [part.lower(), "clips", axis, "low", "high"]
    if not classes:
        columns += ["mean absolute error", "mean Pearson", *(f"{label}: residual" for label in system.task.labels)]
    title = f"{axis} by {part.lower()}"
    keep = (0.0, 1.0) if classes else (0.0,)
    return Chart(draw_intervals(rows, title, axis, keep=keep), part), Table(title, columns, cells)


def make_cooccurrence(system: System) -> list[Block]:
    """Return which labels rise and fall together, in truth and as predicted."""
    values = {"true labels": system.truth, "predicted labels": system.predictions}
    return [correlation_figure("Co-occurrence of labels", values, system.task.labels, "over clips")]


def correlation_figure(title: str, values: dict[str, Floats], names: Sequence[str], over: str) -> Figure:
    """Draw the correlations between columns, (clips, names), one matrix for each of the values."""
    charts, tables = [], []
    for part, columns in values.items():
        result = np.stack([pearson(np.repeat(own[:, None], len(names), axis=1), columns) for own in columns.T])
        texts = [[number(value, 2) for value in row] for row in result.tolist()]
        rows = [[name, *row.tolist()] for name, row in zip(names, result, strict=True)]
        charts.append(Chart(draw_matrix(result, names, texts, f"correlations between {part}"), part, 400))
        tables.append(Table(f"Correlations between {part}", ["label", *names], rows))
    text = f"Pearson between labels {over}: blue rise together, orange one falls as the other rises."
    return Figure(title, charts, tables, text)


def make_clips(system: System, count: int, on_clip: Callable[[], None]) -> list[Block]:
    """Return the best and the worst clips of a system, as many of each, never one in both; each one is reported."""
    errors, name = _clip_errors(system)
    order = np.argsort(errors, kind="stable").tolist()
    half = min(count, len(order) // 2)
    chosen = {f"Worst {half}": order[::-1][:half], f"Best {half}": order[:half]} if half else {"The only clip": order}
    galleries = [
        Gallery(title, [_card(system, place, f"{name} {errors[place]:.3f}", on_clip) for place in places])
        for title, places in chosen.items()
    ]
    if not half:
        return [*galleries]
    by = np.where(system.fallback, "fallback (train mean)", "model").tolist()
    listed = [*order[::-1][:half], *order[:half][::-1]]
    rows = [(system.ids[place], float(errors[place]), by[place]) for place in listed]
    text = (
        "Beside each name are its true value (open circle) and its prediction (dot). The strip shows the face "
        "in six moments of the clip, found by dlib whatever detector the run used; under it is the outline of its "
        "audio, scaled to its loudest moment."
    )
    return [Paragraphs([text]), *galleries, Table("These clips", ["clip", name, "predicted by"], rows)]


def _clip_errors(system: System) -> tuple[NDArray[np.float64], str]:
    """Return how far off each clip is, (clips,), and what that is called."""
    if system.task.is_classification:
        probability = system.predictions[np.arange(len(system.ids)), decide(system.truth)]
        return -np.log(np.clip(probability, _LEAST_PROBABILITY, 1.0)), "cross-entropy"
    return np.sqrt(((system.predictions - system.truth) ** 2).mean(axis=1)), "root mean squared error"


def _card(system: System, place: int, remark: str, on_clip: Callable[[], None]) -> ClipCard:
    clip, labels = system.table[system.ids[place]], system.task.labels
    if system.fallback[place]:
        remark += "; predicted by the fallback (train mean), without a face and audio"
    true, predicted = system.truth[place], system.predictions[place]
    # Of many labels those farthest off.
    farthest = np.sort(np.argsort(-np.abs(predicted - true), kind="stable")[:_MOST_BARS])
    names, shown, guessed = [labels[i] for i in farthest], true[farthest].tolist(), predicted[farthest].tolist()
    limits = float(min(system.task.low, *true, *predicted)), float(max(system.task.high, *true, *predicted))
    values = [f"{labels[i]} true {true[i]:.2f} predicted {predicted[i]:.2f}" for i in farthest]
    chart = draw_pairs(names, shown, guessed, limits, f"{clip.id}: {', '.join(values)}")
    card = ClipCard(clip.id, remark, *preview_frames(clip.video), *preview_audio(clip.audio_source), chart)
    on_clip()
    return card


def preview_frames(video: Path | None, count: int = 6) -> tuple[list[tuple[str, float]], str]:
    """Cut the face out of frames that are evenly spread over a video; the whole frames where no face is found.

    Return JPEG images as data URLs, each with its time in seconds, and what is wrong with them; empty where nothing is.
    """
    if video is None:
        return [], "No images: the data name no video."
    try:
        with at_hand(video) as file:
            frames = read_frames(file, count, max_side=_LONGEST_SIDE)
    except MediaError as error:
        return [], f"No images: {error.message}"
    crops = crop_faces(frames, FaceConfig(detector="dlib", every=2), _SIDE)
    missing = int((crops.states != State.VALID).sum())
    note = f"No face in {missing} of {len(frames.frames)} frames." if missing else ""
    if missing == len(frames.frames):
        crops = crop_faces(frames, FaceConfig(detector="none"), _SIDE)
        note = "No face was found: whole frames are shown."
    encoded = [cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1] for image in crops.images]
    urls = [data_url(bytes(one), "image/jpeg") for one in encoded]
    return list(zip(urls, frames.times[crops.states == State.VALID].tolist(), strict=True)), note


def preview_audio(audio: Path | None) -> tuple[Markup | None, str]:
    """Draw the outline of a clip's audio, scaled to its loudest peak, and return what is wrong with it.

    Only the peaks are kept in memory.
    """
    if audio is None:
        return None, "No audio: the data name none."
    try:
        with at_hand(audio) as file:
            peaks = np.concatenate([_peaks(block) for block in stream_audio(file)])
    except MediaError as error:
        return None, f"No audio: {error.message}"
    loudest = float(peaks.max())
    if loudest == 0:
        return None, "The audio is silent."
    edges = np.linspace(0, len(peaks), min(_COLUMNS, len(peaks)) + 1).round().astype(int)
    heights = np.array([peaks[a:b].max() for a, b in pairwise(edges)]) / loudest
    seconds = len(peaks) * _SAMPLES / 16_000
    return draw_waveform(heights, f"outline of {seconds:.1f} s of audio, loudest peak {loudest:.2f}"), ""


def _peaks(block: NDArray[np.float32]) -> Floats:
    padded = np.pad(np.abs(np.asarray(block, dtype=np.float64)), (0, -len(block) % _SAMPLES))
    peaks: Floats = padded.reshape(-1, _SAMPLES).max(axis=1)
    return peaks
