"""Curves of extraction and training for TensorBoard, written if that package is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_args

from eri.extraction.rates import Stage
from eri.extraction.report import ExtractionEvent
from eri.training.events import TrainingEvent

FOLDER = "tensorboard"


class Curves:
    """Writes progress events as TensorBoard's scalars, and passes every event on; use it as a context.

    Training gives loss, score and best score per epoch, in ``<run>/tensorboard``; extraction gives clips per second,
    failures and how busy each stage is, by the number of clips done, in ``.tensorboard/<extractor>`` of the cache.
    Without the package ``tensorboard`` nothing is written.
    """

    def __init__(
        self, onward: Callable[[Any], None], *, runs: Path | None = None, features: Path | None = None
    ) -> None:
        self._onward, self._runs, self._features = onward, runs, features
        self._installed = find_spec("tensorboard") is not None
        self._writers: dict[Path, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()

    def on_event(self, event: Any) -> None:
        """Write an event, and pass it on."""
        self._onward(event)
        if not self._installed:
            return
        if isinstance(event, TrainingEvent) and event.kind == "epoch" and self._runs is not None:
            values = {"loss": event.loss, event.metric: event.figure, f"best {event.metric}": event.best}
            self._write(self._runs / event.run / FOLDER, values, event.epoch)
        elif isinstance(event, ExtractionEvent) and event.stage == "extract" and self._features is not None:
            speed: dict[str, float | None] = {"clips a second": event.clips_per_second, "failed": float(event.failed)}
            if event.shares is not None:
                speed |= {f"busy: {stage}": getattr(event.shares, stage) for stage in get_args(Stage)}
            self._write(self._features / f".{FOLDER}" / event.extractor.replace("/", "-"), speed, event.done)

    def _write(self, folder: Path, values: dict[str, float | None], step: int) -> None:
        writer = self._writers.get(folder)
        if writer is None:
            from torch.utils.tensorboard import SummaryWriter

            writer = self._writers[folder] = SummaryWriter(str(folder))
        for name, value in values.items():
            if value is not None:
                writer.add_scalar(name, value, step)
