"""The work on one extractor: find what is incomplete, put it on the engine's line, and settle every clip once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from eri.config import Runtime
from eri.data.clips import Clip
from eri.extraction.engine import Line, Model, Settled, Task
from eri.extraction.failures import describe_failure
from eri.extraction.rates import StageRates, measured_rates
from eri.extraction.report import ExtractionEvent, Failure
from eri.extraction.stages import StageShares
from eri.features.folder import FeatureFolder
from eri.features.index import Entry
from eri.features.sources import Source
from eri.utils.errors import EriError, WorkerError

_POLL = 0.2
"""Seconds between two looks at clips that another run works on."""

_GRACE = 60.0
"""Seconds beyond the timeout that another run gets for a clip: it also has to embed and write it."""


_BETWEEN_SHARES = 1.0
"""Seconds between two events that tell how busy each stage has been."""


class ExtractorWork:
    """One extractor's pass over the clips.

    Attributes:
        entries: Clips with features so far, by id.
        computed: How many of them this run extracted.
        failures: Clips that failed so far, by id.
        shares: How busy each stage was; None before the end, or when there was nothing to do.

    Args:
        clips: Clips to settle.
        sources: What the features of each are made from, by id.
        model: The extractor, as the engine has loaded it.
        folder: Where its features go.
        runtime: Workers and timeout.
        on_event: Called with each event.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        sources: Mapping[str, Source | None],
        model: Model,
        folder: FeatureFolder,
        runtime: Runtime,
        on_event: Callable[[ExtractionEvent], None] | None,
    ) -> None:
        self.entries: dict[str, Entry] = {}
        self.computed = 0
        self.failures: dict[str, Failure] = {}
        self.shares: StageShares | None = None
        self._clips = {clip.id: clip for clip in clips}
        self._sources = sources
        self._model = model
        self._folder = folder
        self._runtime = runtime
        self._on_event = on_event
        self._begun: float | None = None
        self._line: Line | None = None
        self._shared = 0.0
        self._held: list[Clip] = []
        self._patience = (frozenset[str](), 0.0)
        self._made: list[Entry] = []
        self._first = (0.0, 0)

    @property
    def rates(self) -> StageRates | None:
        """What the clips took that this run extracted, if it did so in this process; None where it extracted none."""
        if self.shares is None or not self._made:
            return None
        return measured_rates(
            self._model.name,
            self._model.modality,
            self._runtime,
            self.shares,
            clips=len(self._made),
            startup=self._startup(self.shares.seconds),
            media_bytes=sum(entry.source.size for entry in self._made),
            feature_bytes=sum(entry.file.size for entry in self._made),
        )

    def _startup(self, seconds: float) -> float:
        """Return what is left of so many seconds when each clip has its share at the pace after the first few."""
        since, clips = self._first
        made = len(self._made)
        return max(0.0, seconds - made * (seconds - since) / (made - clips)) if made > clips else 0.0

    @property
    def settled(self) -> set[str]:
        """Ids of the clips that are complete or failed."""
        return {*self.entries, *self.failures}

    def run(self) -> None:
        """Settle every clip.

        Raises:
            StoreError: The feature folder cannot be written; what was finished before is kept.
            EriError: Something that concerns every clip, such as missing weights.
            RuntimeError: A bug; it names the clip, and the error itself is its cause.
        """
        inventory = self._folder.take_inventory(
            self._sources,
            threads=max(1, self._runtime.workers),
            on_checked=lambda count: self._emit("check", done=count),
        )
        self.entries.update(inventory.complete)
        if inventory.incomplete:
            self._folder.open_for_writing()
            self._begun = time.monotonic()
            self._settle_all(deque(self._clips[clip_id] for clip_id in inventory.incomplete))
        self._emit("end")

    def _settle_all(self, todo: deque[Clip]) -> None:
        with self._model.open_line(self._folder, len(todo), self._note) as line:
            self._line = line
            while todo or self._held or line.busy:
                while todo and line.has_room:
                    clip = todo.popleft()
                    line.submit(Task(clip, self._sources[clip.id]))
                if todo or line.busy:
                    line.advance()
                    if self._made and not self._first[1]:
                        self._first = (time.monotonic() - (self._begun or 0.0), len(self._made))
                elif self._held:
                    todo.extend(self._await_others())
            # Before the line is closed: what its end takes is not what the stages were busy in.
            self.shares = line.shares(time.monotonic() - (self._begun or 0.0))
            self._line = None

    def _note(self, settled: Settled) -> None:
        """Take down what became of a clip."""
        clip_id = settled.clip_id
        if settled.error is not None:
            self._fail(self._clips[clip_id], settled.error)
        elif settled.entry is None:
            self._held.append(self._clips[clip_id])
        else:
            self.entries[clip_id] = settled.entry
            if settled.computed:
                self.computed += 1
                self._made.append(settled.entry)
            self._emit("extract")

    def _await_others(self) -> list[Clip]:
        """Give other runs time for their clips; return those to try again, fail those they never finish."""
        held, self._held = self._held, []
        ids = frozenset(clip.id for clip in held)
        now = time.monotonic()
        if ids != self._patience[0]:
            self._patience = (ids, now + self._runtime.timeout + _GRACE)
            self._emit("wait")
        elif now > self._patience[1]:
            for clip in held:
                message = f"clip {clip.id}: another run has been at work on it for too long"
                self._fail(clip, WorkerError(message, reason="claimed", hint="Run again when that one has ended."))
            return []
        time.sleep(_POLL)
        return held

    def _fail(self, clip: Clip, error: EriError) -> None:
        source = self._sources[clip.id]
        file = "" if source is None else source.name
        failure = describe_failure(error, clip.id, self._model.name, file)
        self.failures[clip.id] = failure
        self._emit("extract", failure=failure)

    def _emit(
        self,
        stage: Literal["check", "extract", "wait", "end"],
        *,
        done: int | None = None,
        failure: Failure | None = None,
    ) -> None:
        if self._on_event is None:
            return
        event = ExtractionEvent(
            extractor=self._model.name,
            stage=stage,
            done=len(self.entries) + len(self.failures) if done is None else done,
            total=len(self._clips),
            computed=self.computed,
            failed=len(self.failures),
            seconds=0.0 if self._begun is None else time.monotonic() - self._begun,
            failure=failure,
            shares=self._shares_so_far(),
        )
        self._on_event(event)

    def _shares_so_far(self) -> StageShares | None:
        """Return how busy each stage has been, at most once a second."""
        now = time.monotonic()
        if self._line is None or self._begun is None or now - self._shared < _BETWEEN_SHARES:
            return None
        self._shared = now
        return self._line.shares(now - self._begun)
