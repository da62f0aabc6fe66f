"""The course of intensities as a picture: a panel for each label over one time axis."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eri.pictures.figures import new_figure, save_figure
from eri.prediction.timeline import Timeline

_LINE = "#0072b2"  # the blue of Okabe and Ito's palette; one colour, since each label has a panel of its own
_GAP = "#e4e4e4"
_INK = "#222222"
_LEAST_SPAN = 0.05
_TITLE_CHARACTERS = 70


def draw_timeline(timeline: Timeline, path: Path) -> Path:
    """Draw a timeline; all panels have one scale, and windows without a prediction are grey.

    Args:
        timeline: At least one window.
        path: Ends in .png, .svg or .pdf.

    Raises:
        ConfigError: The picture's name ends otherwise.
    """
    labels = timeline.labels
    figure = new_figure(8.0, 0.9 + 0.75 * len(labels))
    panels = np.atleast_1d(figure.subplots(len(labels), 1, sharex=True, sharey=True))
    low, high = _scale(timeline)
    for column, (panel, label) in enumerate(zip(panels, labels, strict=True)):
        for start, end in _gaps(timeline):
            panel.axvspan(start, end, color=_GAP, linewidth=0)
        marker = "o" if len(timeline.times) < 3 else None
        panel.plot(timeline.times, timeline.values[:, column], color=_LINE, linewidth=1.5, marker=marker)
        panel.set_ylim(low, high)
        panel.set_ylabel(label, rotation=0, ha="right", va="center", color=_INK, parse_math=False)
        panel.grid(axis="y", color="#dddddd", linewidth=0.6)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(length=0, labelsize=8, colors=_INK)
        panel.locator_params(axis="y", nbins=3)
    panels[-1].set_xlim(0.0, max(timeline.duration, 1e-3))
    panels[-1].set_xlabel(f"seconds (middle of a window of {timeline.window:g} s)", color=_INK)
    figure.suptitle(_title(timeline), fontsize=10, color=_INK, parse_math=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a name may hold signs that the font lacks
        return save_figure(figure, path)


def _scale(timeline: Timeline) -> tuple[float, float]:
    """Return limits that hold all values, inside the task's range and not narrower than a twentieth of it."""
    finite = timeline.values[np.isfinite(timeline.values)]
    if not len(finite):
        return timeline.low, timeline.high
    span = timeline.high - timeline.low
    room = max(0.05 * float(np.ptp(finite)), 0.5 * max(0.0, _LEAST_SPAN * span - float(np.ptp(finite))))
    return max(timeline.low, float(finite.min()) - room), min(timeline.high, float(finite.max()) + room)


def _gaps(timeline: Timeline) -> Iterator[tuple[float, float]]:
    """Yield begin and end of the stretches without a prediction, half a hop around each window's middle."""
    for time in timeline.times[[bool(reason) for reason in timeline.missing]]:
        yield time - timeline.hop / 2, time + timeline.hop / 2


def _title(timeline: Timeline) -> str:
    name = timeline.video.name.encode("utf-8", "replace").decode()
    name = name if len(name) <= _TITLE_CHARACTERS else f"{name[: _TITLE_CHARACTERS - 1]}…"
    reasons = sorted({reason for reason in timeline.missing if reason})
    return f"{name} (grey: {', '.join(reasons)[:_TITLE_CHARACTERS]})" if reasons else name
