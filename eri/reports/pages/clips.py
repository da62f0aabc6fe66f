"""The clips that a system predicts best and worst, to look at."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from eri.metrics.intensities import Floats
from eri.metrics.recognition import decide
from eri.reports.charts import draw_pairs
from eri.reports.html.blocks import Block, ClipCard, Gallery, Paragraphs, Value, make_table
from eri.reports.html.glimpses import draw_envelope, draw_strip
from eri.reports.pages.systems import System

_LISTED = 10
_MOST_BARS = 12
_LEAST_PROBABILITY = 1e-12


def make_clips(system: System, count: int = _LISTED) -> list[Block]:
    """Return the best and the worst clips of a system, as many of each, never one in both."""
    errors, name = clip_errors(system)
    order = np.argsort(errors, kind="stable")
    half = min(count, len(order) // 2)
    if not half:
        only = Gallery("The only clip", tuple(_card(system, int(i), f"{name} {errors[i]:.3f}") for i in order))
        return [only]
    best, worst = order[:half], order[::-1][:half]
    galleries = [
        Gallery(f"{title} {half}", tuple(_card(system, int(i), f"{name} {errors[i]:.3f}") for i in chosen))
        for title, chosen in (("Worst", worst), ("Best", best))
    ]
    rows: list[list[Value]] = [
        [system.ids[i], float(errors[i]), "train mean" if system.fallback[i] else "model"]
        for i in [*worst, *best[::-1]]
    ]
    said = (
        "Beside each name stands its true value (open circle) and what was predicted (dot). The strip shows the face "
        "in six moments of the clip, found by dlib whatever detector the run used; under it is the outline of its "
        "sound, scaled to its loudest moment."
    )
    return [Paragraphs((said,)), *galleries, make_table("These clips", ["clip", name, "predicted by"], rows)]


def clip_errors(system: System) -> tuple[Floats, str]:
    """Return how far off each clip is, (clips,), and what that is called."""
    if system.task.is_classification:
        right = system.predictions[np.arange(len(system.ids)), decide(system.truth)]
        return -np.log(np.clip(right, _LEAST_PROBABILITY, 1.0)), "cross-entropy"
    return np.sqrt(((system.predictions - system.truth) ** 2).mean(axis=1)), "root mean squared error"


def _card(system: System, place: int, remark: str) -> ClipCard:
    clip = system.table[system.ids[place]]
    strip = draw_strip(clip.video)
    envelope, note = draw_envelope(clip.audio_source)
    if system.fallback[place]:
        remark += "; predicted by the train mean, for want of a face and sound"
    return ClipCard(clip.id, remark, strip.pictures, strip.note, envelope, note, _values(system, place))


def _values(system: System, place: int) -> Markup:
    """Draw what is true of a clip and what was predicted, a row a label; of many labels those farthest off."""
    true, predicted = system.truth[place], system.predictions[place]
    farthest = np.sort(np.argsort(-np.abs(predicted - true), kind="stable")[:_MOST_BARS])
    names = [system.task.labels[i] for i in farthest]
    low, high = min(system.task.low, *true, *predicted), max(system.task.high, *true, *predicted)
    label = f"{system.ids[place]}: " + ", ".join(
        f"{name} true {true[i]:.2f} predicted {predicted[i]:.2f}" for i, name in zip(farthest, names, strict=True)
    )
    return draw_pairs(names, true[farthest].tolist(), predicted[farthest].tolist(), (float(low), float(high)), label)
