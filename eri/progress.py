"""Progress on the screen: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from eri.demo import GenerationEvent
from eri.extraction import ExtractionEvent
from eri.extraction.stages import Stage
from eri.prediction.timeline import TimelineEvent
from eri.progress_modes import ProbeEvent
from eri.training.events import TrainingEvent

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
