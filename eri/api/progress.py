"""Progress of long calls: a bar on a terminal and in a notebook, plain lines elsewhere, and events for programs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from eri.api.choices import OnEvent

if TYPE_CHECKING:
    from rich.console import Console

    from eri.evaluation.jobs import ModelTrained, TrialEnded
    from eri.extraction.report import ExtractionEvent
    from eri.training.events import TrainingEvent

_SECONDS_BETWEEN_LINES = 5.0
_SECONDS_OF_SILENCE = 20.0
_SECONDS_BETWEEN_UPDATES, _NOTEBOOK_LINES = 0.2, 20
_PLAIN_WIDTH = 120  # of what is written to a file or a pipe, where rich would assume 80

_BOTTLENECKS = {"decode": "decoding", "faces": "face detection", "model": "the model", "write": "writing"}


@dataclass(frozen=True)
class CountEvent:
    """Progress of work that is counted.

    Attributes:
        what: What is done, such as ``probing``.
        done: How many are done.
        total: How many there are.
        unit: What is counted.
    """

    what: str
    done: int
    total: int
    unit: str = "clips"


def open_console() -> Console:
    """Return a console for the standard output as it is now; text that goes to no terminal is 120 columns wide."""
    from rich.console import Console

    console = Console()
    sized = console.is_terminal or console.is_jupyter or "COLUMNS" in os.environ
    return console if sized else Console(width=max(console.width, _PLAIN_WIDTH))


def print_plain(console: Console, line: str) -> None:
    """Print a line as it is, however long; what is no UTF-8 becomes a question mark."""
    from rich.markup import escape as plain

    console.print(plain(line.encode("utf-8", "replace").decode()), highlight=False, soft_wrap=True)


@contextmanager
def reporting(what: str, progress: bool | None, on_event: OnEvent | None = None) -> Iterator[OnEvent]:
    """Give the function that takes the progress events of a block, which does ``what``.

    None shows them on a terminal and in a notebook, unless there is an ``on_event``, which gets each event, too. Of the
    processes that torchrun started, the first one shows progress.
    """
    console = None
    if progress is not False and os.environ.get("RANK", "0") == "0" and (progress or on_event is None):
        console = open_console()
    if console is None or (progress is None and not (console.is_terminal or console.is_jupyter)):
        yield on_event or (lambda event: None)
        return
    with ProgressDisplay(console, what) as display:

        def report(event: Any) -> None:
            display.on_event(event)
            if on_event is not None:
                on_event(event)

        yield report


def counter(report: OnEvent, what: str, unit: str = "clips") -> Callable[[int, int], None]:
    """Return a function of done and total that reports :class:`CountEvent`."""
    return lambda done, total: report(CountEvent(what, done, total, unit))


@contextmanager
def recording(onward: OnEvent, *, runs: Path | None = None, features: Path | None = None) -> Iterator[OnEvent]:
    """Give a function that writes progress events as TensorBoard's scalars, and passes every event on.

    Training gives loss, score and best score per epoch, in ``<run>/tensorboard``; extraction gives clips per second,
    failures and how busy each stage is, by the number of clips done, in ``.tensorboard/<extractor>`` of the cache.
    Without the package ``tensorboard`` nothing is written.
    """
    writers: dict[Path, Any] = {}

    def write(folder: Path, values: Mapping[str, float | None], step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        if folder not in writers:
            writers[folder] = SummaryWriter(str(folder))
        for name, value in values.items():
            if value is not None:
                writers[folder].add_scalar(name, value, step)

    def listen(event: Any) -> None:
        onward(event)
        kind = type(event).__name__
        if kind == "TrainingEvent" and event.kind == "epoch" and runs is not None:
            values = {"loss": event.loss, event.metric: event.figure, f"best {event.metric}": event.best}
            write(runs / event.run / "tensorboard", values, event.epoch)
        elif kind == "ExtractionEvent" and event.stage == "extract" and features is not None:
            speed = {"clips a second": event.clips_per_second, "failed": float(event.failed)}
            if event.shares is not None:
                speed |= {f"busy: {stage}": getattr(event.shares, stage) for stage in _BOTTLENECKS}
            write(features / ".tensorboard" / event.extractor.replace("/", "-"), speed, event.done)

    try:
        yield listen if find_spec("tensorboard") is not None else onward
    finally:
        for writer in writers.values():
            writer.close()


class ProgressDisplay:
    """Shows progress events; use it as a context and pass on its ``on_event``.

    A terminal and a notebook get bars, and ``what`` is done while there are no events; anything else gets a line every
    few seconds, one at the end of each stage, and one after each ``silence`` (seconds) that says that the work goes on.

    Examples:
        >>> from rich.console import Console
        >>> from eri.extraction.report import ExtractionEvent
        >>> with ProgressDisplay(Console(width=80, force_terminal=False)) as display:
        ...     display.on_event(ExtractionEvent("resnet50", "end", done=3, total=3, computed=2, seconds=1.0))
        resnet50: 3/3 clips, 2 new, 2.0 clips/s
    """

    def __init__(self, console: Console, what: str = "", silence: float = _SECONDS_OF_SILENCE) -> None:
        self._what, self._silence = what, silence
        self._live = console.is_jupyter or console.is_terminal
        self._surface: _Lines = _Notebook() if console.is_jupyter else (_Terminal if self._live else _Lines)(console)
        self._bars: set[str] = set()
        self._bottlenecks: dict[str, str] = {}
        self._last_line = 0.0
        self._started = self._last_seen = time.monotonic()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._watch = threading.Thread(target=self._break_silence, daemon=True)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()
        self._surface.close()

    def on_event(self, event: Any) -> None:
        """Show one event; events of other kinds are passed over."""
        view = _VIEWS.get(type(event).__name__)
        if view is not None:
            with self._lock:
                self._last_seen = time.monotonic()
                view(self, event)

    def _break_silence(self) -> None:
        period = min(1.0, self._silence) if self._live else self._silence / 4
        while not self._ended.wait(period):
            now = time.monotonic()
            with self._lock:
                if self._what and not self._bars and (self._live or now - self._last_seen >= self._silence):
                    self._surface.wait(self._what, now - self._started)
                    self._last_seen = now

    def _count(self, event: CountEvent) -> None:
        line = f"{event.what}: {event.done}/{event.total} {event.unit}"
        self._show(event.what, event.done, event.total, "", line, ended=event.done == event.total)

    def _extraction(self, event: ExtractionEvent) -> None:
        if (failure := event.failure) is not None:
            clip = f"{failure.extractor}: clip {failure.clip_id}"
            self._surface.say(f"{clip} failed ({failure.reason}): {failure.message}")
        note = f"{event.computed} new, {event.clips_per_second:.1f} clips/s"
        if event.failed:
            note += f", {event.failed} failed"
        if event.shares is not None:
            self._bottlenecks[event.extractor] = event.shares.bound
        if event.stage != "end" and event.extractor in self._bottlenecks:
            note += f", bottleneck: {_BOTTLENECKS[self._bottlenecks[event.extractor]]}"
        if event.stage == "check":
            note = "checking the cache"
        elif event.stage == "wait":
            note += ", waiting for clips of another process"
        line = f"{event.extractor}: {event.done}/{event.total} clips, {note}"
        self._show(event.extractor, event.done, event.total, note, line, ended=event.stage == "end")

    def _training(self, event: TrainingEvent) -> None:
        note = f"{event.metric} {_number(event.figure)}, best {_number(event.best)}"
        if event.loss is not None:
            note = f"loss {event.loss:.4f}, {note}"
        if event.kind == "end":
            note += f" at epoch {event.best_epoch} ({'stopped early' if event.stopped_early else 'all epochs done'})"
        elif event.kind == "prepare":
            note = f"measuring features, {event.batch}/{event.batches} clips"
        elif event.kind == "validate":
            note = f"validating, batch {event.batch}/{event.batches}, {note}"
        line = f"{event.run}: epoch {event.epoch}/{event.epochs}, {note}"
        if event.kind in ("prepare", "validate"):  # their batches are none of the epoch's
            done = float(event.epoch)
        else:
            done = max(event.epoch - 1, 0) + (event.batch / event.batches if event.batches else 1.0)
        self._show(event.run, min(done, event.epochs), event.epochs, note, line, ended=event.kind == "end")

    def _model(self, event: ModelTrained) -> None:
        self._surface.say(f"{event.done}/{event.total} {event.name}: {event.metric} {_number(event.score)}")
        if self._live:
            self._show("models trained", event.done, event.total, "", "", ended=event.done == event.total)

    def _trial(self, event: TrialEnded) -> None:
        values = ", ".join(f"{key}={value}" for key, value in event.values.items())
        outcome = event.error or (_number(event.value) if event.state == "complete" else "")
        self._surface.say(f"trial {event.number} {event.state} {outcome} ({values})")

    def _show(self, name: str, done: float, total: int, note: str, line: str, *, ended: bool) -> None:
        if self._live and not ended:
            self._bars.add(name)
            self._surface.bar(name, done, total, note)
            return
        if name in self._bars:
            self._bars.remove(name)
            self._surface.drop(name)
        now = time.monotonic()
        if line and (ended or now - self._last_line >= _SECONDS_BETWEEN_LINES):
            self._last_line = now
            self._surface.say(line)


_VIEWS: Mapping[str, Callable[[ProgressDisplay, Any], None]] = {
    "str": lambda self, line: self._surface.say(line),
    "CountEvent": ProgressDisplay._count,
    "ExtractionEvent": ProgressDisplay._extraction,
    "ModelTrained": ProgressDisplay._model,
    "TimelineEvent": lambda self, one: self._count(CountEvent(one.video, one.done, one.total, "windows")),
    "StepDone": lambda self, step: self._surface.say(f"{step.done}/{step.total} {step.name}"),
    "TrainingEvent": ProgressDisplay._training,
    "TrialEnded": ProgressDisplay._trial,
}
"""What shows each kind of event, by the name of its class: none of the rooms that make them need be imported."""


class _Lines:
    """Where progress is shown: lines that stay, and bars that go. Here plain text for logs, without bars."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, line: str) -> None:
        print_plain(self._console, line)

    def bar(self, name: str, done: float, total: int, note: str) -> None:
        pass

    def drop(self, name: str) -> None:
        pass

    def wait(self, what: str, seconds: float) -> None:
        self.say(f"{what}: {seconds:.0f} s so far")

    def close(self) -> None:
        pass


class _Terminal(_Lines):
    """Bars of rich, which vanish at the end."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        super().__init__(console)
        description, note = TextColumn("{task.description}"), TextColumn("{task.fields[note]}")
        columns = (description, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note)
        self._progress = Progress(*columns, console=console, transient=True)
        self._status = console.status("")
        self._tasks: dict[str, Any] = {}

    def bar(self, name: str, done: float, total: int, note: str) -> None:
        from rich.markup import escape as plain

        self._status.stop()
        if name not in self._tasks:
            self._progress.start()
            self._tasks[name] = self._progress.add_task(plain(name), total=total, note="")
        self._progress.update(self._tasks[name], completed=done, total=total, note=plain(note))

    def drop(self, name: str) -> None:
        self._progress.remove_task(self._tasks.pop(name))
        if not self._tasks:
            self._progress.stop()

    def wait(self, what: str, seconds: float) -> None:
        from rich.markup import escape as plain

        self._status.update(f"{plain(what)}: {seconds:.0f} s")
        self._status.start()

    def close(self) -> None:
        self._status.stop()
        self._progress.stop()


class _Notebook(_Lines):
    """One output of a cell that is updated in place, by IPython alone: no widgets need be installed."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._bars: dict[str, tuple[float, int, str]] = {}
        self._waiting = ""
        self._handle: Any = None
        self._shown = 0.0

    def say(self, line: str) -> None:
        self._lines = [*self._lines, line][-_NOTEBOOK_LINES:]
        self._update()

    def bar(self, name: str, done: float, total: int, note: str) -> None:
        self._waiting = ""
        self._bars[name] = (done, total, note)
        if time.monotonic() - self._shown >= _SECONDS_BETWEEN_UPDATES:
            self._update()

    def drop(self, name: str) -> None:
        del self._bars[name]
        self._update()

    def wait(self, what: str, seconds: float) -> None:
        self._waiting = f"{what}: {seconds:.0f} s"
        self._update()

    def close(self) -> None:
        self._bars, self._waiting = {}, ""
        if self._handle is not None:
            self._update()

    def _update(self) -> None:
        from IPython.display import HTML, display  # type: ignore[import-not-found,unused-ignore]

        self._shown = time.monotonic()
        bars = "".join(
            f'<div>{escape(name)} <progress max="{total}" value="{done:g}"></progress> '
            f"{done:.0f}/{total} {escape(note)}</div>"
            for name, (done, total, note) in self._bars.items()
        )
        text = "\n".join(filter(None, [*self._lines, self._waiting]))
        shown = HTML(f"<pre>{escape(text)}</pre>{bars}")
        if self._handle is None:
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
