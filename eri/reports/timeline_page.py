"""The page of a timeline: the video beside the course of each label, and a cursor that follows playback."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from eri.prediction import FaceFrame, Timeline
from eri.reports.page import Table, Value, data_url, write_page

EMBEDDED_BYTES = 24_000_000
"""Larger videos are named on the page rather than embedded in it: browsers take no larger page well."""

_KINDS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".ogv": "video/ogg"}
_MOST_ROWS = 2000
_MOST_POINTS = 4000
_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)


def write_timeline_page(timeline: Timeline, path: Path, *, embed: int = EMBEDDED_BYTES) -> Path:
    """Write a timeline as one self-contained HTML page.

    A small video is embedded. A larger one, and one of a kind that browsers do not play, is not: the cursor is then
    moved by hand, and the page says so.

    Args:
        timeline: Predictions for a window that slides over a video.
        path: The page.
        embed: Bytes of a video up to which it is embedded in the page.

    Raises:
        RunError: The page cannot be written.
    """
    video, note = _video(timeline.video, embed)
    span = max(timeline.duration, float(timeline.times[-1]) if len(timeline.times) else 0.0, 1e-3)
    content: dict[str, Any] = {
        "subtitle": f"window {timeline.window:g} s, every {timeline.hop:g} s; {timeline.duration:.1f} s in all",
        "notes": [*timeline.notes, *_gap_notes(timeline), *filter(None, [note])],
        "video": video,
        "span": span,
        "rows": _rows(timeline, span),
        "ticks": [(tick / span, _clock(tick)) for tick in _ticks(span)],
        "low": _plain(timeline.low),
        "high": _plain(timeline.high),
        "faces": [_face(face) for face in timeline.faces],
        "data": _data(timeline, span),
        "table": _table(timeline),
    }
    hint = "Choose another folder for the timeline."
    return write_page(path, "timeline.html", timeline.video.name, content, scripts=("timeline.js",), hint=hint)


def _video(path: Path, embed: int) -> tuple[str | None, str]:
    """Return the video as a data URL, or None and why."""
    kind = _KINDS.get(path.suffix.lower())
    by_hand = "move the cursor by hand"
    if path.is_dir():
        return None, f"Images in a folder cannot be played; {by_hand}."
    if kind is None:
        return None, f"Browsers do not play files like {path.name}; {by_hand}."
    try:
        size = path.stat().st_size
        if size > embed:
            return None, f"The video has {size / 1e6:.0f} MB and is not embedded in this page; {by_hand}."
        return data_url(path.read_bytes(), kind), ""
    except OSError as error:
        return None, f"The video cannot be read ({error.strerror}); {by_hand}."


def _gap_notes(timeline: Timeline) -> list[str]:
    reasons = Counter(filter(None, timeline.missing))
    return [f"{count} of {len(timeline.times)} windows have no values: {reason}." for reason, count in reasons.items()]


def _rows(timeline: Timeline, span: float) -> list[dict[str, Any]]:
    """Return one row per label: its curve in an image of 1000 by 100, broken where a window has no values."""
    step = max(1, math.ceil(len(timeline.times) / _MOST_POINTS))
    span_of_values = (timeline.high - timeline.low) or 1.0
    rows = []
    for column, label in enumerate(timeline.labels):
        pieces: list[list[str]] = [[]]
        for time, value in zip(timeline.times[::step], timeline.values[::step, column], strict=True):
            if math.isfinite(value):
                share = min(max((value - timeline.low) / span_of_values, 0.0), 1.0)
                pieces[-1].append(f"{1000 * time / span:.1f},{96 - 92 * share:.1f}")
            elif pieces[-1]:
                pieces.append([])
        known = timeline.values[np.isfinite(timeline.values[:, column]), column]
        summary = f"mean {known.mean():.2f}, from {known.min():.2f} to {known.max():.2f}" if len(known) else "no values"
        lines = [piece if len(piece) > 1 else piece * 2 for piece in pieces if piece]
        rows.append({"label": label, "lines": [" ".join(line) for line in lines], "summary": summary})
    return rows


def _face(face: FaceFrame) -> dict[str, Any]:
    box = None
    if face.box is not None:
        left, top, right, bottom = face.box
        box = {
            "left": 100 * left / face.width,
            "top": 100 * top / face.height,
            "width": 100 * (right - left) / face.width,
            "height": 100 * (bottom - top) / face.height,
        }
    return {
        "time": face.time,
        "clock": _clock(face.time),
        "image": data_url(face.image, "image/jpeg"),
        "width": face.width,
        "height": face.height,
        "box": box,
    }


def _data(timeline: Timeline, span: float) -> dict[str, Any]:
    values = [
        [None if not math.isfinite(value) else round(float(value), 4) for value in row] for row in timeline.values
    ]
    return {"span": span, "times": [round(float(time), 4) for time in timeline.times], "values": values}


def _table(timeline: Timeline) -> Table:
    step = max(1, math.ceil(len(timeline.times) / _MOST_ROWS))
    rows: list[list[Value]] = [
        [float(timeline.times[place]), *timeline.values[place].tolist(), timeline.missing[place]]
        for place in range(0, len(timeline.times), step)
    ]
    caption = "Every window, by the second in its middle"
    if step > 1:
        caption = f"Every {step}th window, by the second in its middle; the CSV beside this page holds all"
    return Table(caption, ["seconds", *timeline.labels, "missing"], rows)


def _ticks(span: float, most: int = 6) -> list[float]:
    """Return round seconds for the axis of a timeline.

    Examples:
        >>> _ticks(10.0), _ticks(3600.0)[:3]
        ([0.0, 2.0, 4.0, 6.0, 8.0, 10.0], [0.0, 600.0, 1200.0])
    """
    step = next((step for step in _STEPS if span / step <= most), _STEPS[-1] * math.ceil(span / _STEPS[-1] / most))
    return [place * step for place in range(math.floor(span / step + 1e-9) + 1)]


def _plain(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def _clock(seconds: float) -> str:
    """Return seconds as a player shows them.

    Examples:
        >>> _clock(2.5), _clock(65.0), _clock(3725.0)
        ('0:02.5', '1:05', '1:02:05')
    """
    whole, rest = divmod(round(seconds, 1), 1)
    hours, minutes, left = int(whole) // 3600, int(whole) // 60 % 60, int(whole) % 60
    tenths = f".{round(rest * 10)}" if round(rest * 10) else ""
    return f"{hours}:{minutes:02d}:{left:02d}{tenths}" if hours else f"{minutes}:{left:02d}{tenths}"
