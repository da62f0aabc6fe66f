"""Progress on the screen: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from eri.api.demo import GenerationEvent
from eri.extraction.run import ExtractionEvent
from eri.extraction.stages import Stage
from eri.prediction.timeline import TimelineEvent
from eri.training.events import TrainingEvent

_NAMES = {
    "ExtractionEvent": "extraction",
    "GenerationEvent": "generation",
    "ProbeEvent": "probe",
    "TimelineEvent": "timeline",
    "TrainingEvent": "training",
}


@dataclass(frozen=True)
class ProbeEvent:
    """Progress of a look at a data set.

    Attributes:
        done: Clips looked at so far.
        total: All clips.
    """

    done: int
    total: int


class Display(Protocol):
    """What events are handed to."""

    def on_event(self, event: Any) -> None:
        """Take one event."""
        ...


def open_display(*, quiet: bool = False, json: bool = False) -> AbstractContextManager[Display]:
    """Return what tells progress, to be used as a context.

    Args:
        quiet: Tell nothing.
        json: Write a JSON object a line to the standard output, whatever ``quiet`` says.
    """
    if json:
        import sys

        return JsonLines(sys.stdout.write)
    if quiet:
        return Silence()
    from eri.cli import screen

    return ProgressDisplay(screen.console)


class Silence:
    """Tells nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def on_event(self, event: Any) -> None:
        """Pass an event over."""


class JsonLines(Silence):
    r"""Writes each event as a JSON object on a line of its own: its kind under ``event``, then its fields.

    Args:
        write: Takes the text.

    Examples:
        >>> from eri.training.events import TrainingEvent
        >>> lines = []
        >>> JsonLines(lines.append).on_event(TrainingEvent("epoch", "a", 1, 9, loss=0.5, figure=float("nan")))
        >>> lines[0][:62]
        '{"event": "training", "kind": "epoch", "run": "a", "epoch": 1,'
        >>> json.loads(lines[0])["figure"] is None
        True
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def on_event(self, event: Any) -> None:
        """Write one event; what is no event of a known kind is a message."""
        name = _NAMES.get(type(event).__name__)
        values = {"event": "message", "text": str(event)} if name is None else {"event": name, **plain(event)}
        self._write(_line(values))


def json_result(values: Mapping[str, Any]) -> str:
    """Return the last line that a command writes for machines: its kind is ``result``."""
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
    if isinstance(value, Path):
        return str(value).encode("utf-8", "replace").decode()
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"


_SECONDS_BETWEEN_LINES = 5.0

_WAITED_FOR: Mapping[Stage, str] = MappingProxyType(
    {"decode": "decoding", "faces": "the search for faces", "model": "the model", "write": "writing"}
)


class ProgressDisplay:
    """Shows the events of generation, extraction and training; use it as a context and hand on its ``on_event``.

    Args:
        console: Where to show them. A terminal gets a bar; anything else gets a line every few seconds and one at
            the end of each stage.

    Examples:
        >>> from rich.console import Console
        >>> console = Console(width=80, force_terminal=False)
        >>> with ProgressDisplay(console) as display:
        ...     display.on_event(ExtractionEvent("resnet50", "end", done=3, total=3, computed=2, seconds=1.0))
        resnet50: 3/3 clips, 2 new, 2.0 clips/s
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._bounds: dict[str, Stage] = {}
        self._last_line = 0.0

    def __enter__(self) -> Self:
        if self._live:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._bar.stop()

    def on_event(self, event: Any) -> None:
        """Show one event; events of other kinds are passed over."""
        if isinstance(event, ExtractionEvent):
            self._extraction(event)
        elif isinstance(event, TrainingEvent):
            self._training(event)
        elif isinstance(event, GenerationEvent):
            line = f"generate: {event.done}/{event.total} clips"
            self._show("generate", event.done, event.total, "", line, ended=event.done == event.total)
        elif isinstance(event, ProbeEvent):
            line = f"look: {event.done}/{event.total} clips"
            self._show("look", event.done, event.total, "", line, ended=event.done == event.total)
        elif isinstance(event, TimelineEvent):
            line = f"{event.video}: {event.done}/{event.total} windows"
            self._show(event.video, event.done, event.total, "", line, ended=event.done == event.total)
        elif isinstance(event, str):
            self._console.print(escape(event), highlight=False)

    def _extraction(self, event: ExtractionEvent) -> None:
        if event.failure is not None:
            failure = event.failure
            self._say(f"{failure.extractor}: clip {failure.clip_id} failed ({failure.reason}): {failure.message}")
        note = f"{event.computed} new, {event.clips_per_second:.1f} clips/s"
        if event.failed:
            note += f", {event.failed} failed"
        if event.shares is not None:
            self._bounds[event.extractor] = event.shares.bound
        if event.stage != "end" and event.extractor in self._bounds:
            note += f", {_WAITED_FOR[self._bounds[event.extractor]]} bounds it"
        if event.stage == "check":
            note = "looking for what is complete"
        elif event.stage == "wait":
            note += ", waiting for clips of another process"
        line = f"{event.extractor}: {event.done}/{event.total} clips, {note}"
        self._show(event.extractor, event.done, event.total, note, line, ended=event.stage == "end")

    def _training(self, event: TrainingEvent) -> None:
        note = f"{event.metric} {_number(event.figure, 3)}, best {_number(event.best, 3)}"
        if event.loss is not None:
            note = f"loss {event.loss:.4f}, {note}"
        if event.kind == "end":
            reason = "no better epoch came" if event.stopped_early else "all epochs done"
            note += f" at epoch {event.best_epoch} ({reason})"
        line = f"{event.run}: epoch {event.epoch}/{event.epochs}, {note}"
        done = max(event.epoch - 1, 0) + (event.batch / event.batches if event.batches else 1.0)
        self._show(event.run, min(done, event.epochs), event.epochs, note, line, ended=event.kind == "end")

    def _show(self, name: str, done: float, total: int, note: str, line: str, *, ended: bool) -> None:
        if self._live and not ended:
            if name not in self._tasks:
                self._tasks[name] = self._bar.add_task(escape(name), total=total, note="")
            self._bar.update(self._tasks[name], completed=done, total=total, note=escape(note))
            return
        if name in self._tasks:
            self._bar.remove_task(self._tasks.pop(name))
        now = time.monotonic()
        if ended or now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._say(line)

    def _say(self, line: str) -> None:
        self._console.print(escape(line), highlight=False, soft_wrap=True)


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
