"""What commands print for programs: a JSON object per line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

_NAMES = {
    "CountEvent": "count",
    "ExtractionEvent": "extraction",
    "ModelTrained": "model",
    "StepDone": "step",
    "TimelineEvent": "timeline",
    "TrainingEvent": "training",
    "TrialEnded": "trial",
}


class JsonLines:
    r"""Writes each event as a JSON object on a line of its own: its kind under ``event``, then its fields.

    Args:
        write: Takes the text.

    Examples:
        >>> from eri.training.events import TrainingEvent
        >>> lines = []
        >>> JsonLines(lines.append)(TrainingEvent("epoch", "a", 1, 9, loss=0.5, figure=float("nan")))
        >>> lines[0][:62]
        '{"event": "training", "kind": "epoch", "run": "a", "epoch": 1,'
        >>> json.loads(lines[0])["figure"] is None
        True
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def __call__(self, event: Any) -> None:
        """Write one event; what is no event of a known kind is a message."""
        name = _NAMES.get(type(event).__name__)
        values = {"event": "message", "text": str(event)} if name is None else {"event": name, **plain(event)}
        self._write(_line(values))


def json_result(values: Mapping[str, Any]) -> str:
    """Return the last line that a command writes for programs: its kind is ``result``."""
    return _line({"event": "result", **plain(values)})


def plain(value: Any) -> Any:
    """Return JSON values of anything that events and reports are made of; numbers that are not finite are null.

    Examples:
        >>> plain({"path": Path("runs/a"), "values": (1, float("inf"))})
        {'path': 'runs/a', 'values': [1, None]}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, str | Path):
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"
