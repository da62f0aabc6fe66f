"""The work on one extractor: find what is incomplete, prepare, embed and write it, and settle every clip once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eri.config import Runtime
from eri.data.clips import Clip
from eri.errors import DataError, EriError, MediaError, WorkerError
from eri.extraction.failures import describe_failure
from eri.extraction.pool import ClipPool, Job, Outcome
from eri.extraction.report import ExtractionEvent, Failure
from eri.extraction.scratch import ScratchFolder, sweep_scratch_folders
from eri.extraction.stages import StageClock, StageShares
from eri.extraction.worker import unpark
from eri.extraction.writing import WritingThread
from eri.extractors.base import CropSequence, Extractor, FeatureSequence, Prepared, State, assemble, join_codes
from eri.store import FeatureFolder, Source, SourceIdentity
from eri.store.journal import Entry

_CLIP_ERRORS = (MediaError, DataError, WorkerError)
"""Errors that are about one clip. Others, such as missing weights, would fail every clip alike and stop the run."""

_POLL = 0.2
"""Seconds between two looks at clips that another run works on."""

_GRACE = 60.0
"""Seconds beyond the timeout that another run gets for a clip: it also has to embed and write it."""


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
        extractor: The model.
        folder: Where its features go.
        runtime: Workers and timeout.
        on_event: Called with each event.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        sources: Mapping[str, Source | None],
        extractor: Extractor,
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
        self._extractor = extractor
        self._folder = folder
        self._runtime = runtime
        self._on_event = on_event
        self._begun: float | None = None
        self._jobs: dict[str, Job] = {}
        self._patience = (frozenset[str](), 0.0)
        self._clock = StageClock()

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
            workers = min(self._runtime.workers, len(inventory.incomplete))
            self.shares = self._clock.shares(time.monotonic() - self._begun, workers)
        self._emit("end")

    def _settle_all(self, todo: deque[Clip]) -> None:
        held: list[Clip] = []
        sweep_scratch_folders()
        pool = ClipPool(self._extractor.preparer, self._runtime, len(todo))
        with ScratchFolder() as scratch, self._closing_jobs(), WritingThread(self._count) as writing, pool:
            while todo or held or pool.busy:
                while todo and pool.has_room:
                    clip = todo.popleft()
                    if not self._start(clip, pool, scratch):
                        held.append(clip)
                if pool.busy:
                    self._settle(pool.collect(), writing)
                elif held and not todo:
                    writing.finish()
                    todo.extend(self._await_others(held))
                    held.clear()
            writing.finish()

    @contextmanager
    def _closing_jobs(self) -> Iterator[None]:
        try:
            yield
        finally:
            for job in list(self._jobs.values()):
                self._close(job)

    def _start(self, clip: Clip, pool: ClipPool, scratch: ScratchFolder) -> bool:
        """Claim a clip and have it prepared; False while another run has it."""
        claim = self._folder.claim(clip.id)
        if claim is None:
            return False
        source = self._sources[clip.id]
        job = self._jobs[clip.id] = Job(clip, source, claim, scratch.file(clip.id))
        # Another run may have finished the clip since the inventory was taken.
        entry = self._folder.confirm(clip.id, source)
        if entry is not None:
            self.entries[clip.id] = entry
            self._close(job)
            self._emit("extract")
            return True
        # What does not match must not outlive a failure, or training would take it for the clip's features.
        self._folder.remove(clip.id)
        pool.submit(job)
        return True

    def _settle(self, outcomes: Sequence[Outcome], writing: WritingThread) -> None:
        self._embed([outcome for outcome in outcomes if outcome.decoded is not None], writing)
        unexpected: list[Outcome] = []
        for outcome in outcomes:
            if isinstance(outcome.error, _CLIP_ERRORS):
                self._fail(outcome.job.clip, outcome.error)
                self._close(outcome.job)
            elif outcome.error is not None:
                unexpected.append(outcome)
        if unexpected:
            error = unexpected[0].error
            if isinstance(error, EriError):
                raise error
            clip_id = unexpected[0].job.clip.id
            raise RuntimeError(f"clip {clip_id}: preparing it for {self._extractor.name} failed: {error!r}") from error

    def _embed(self, outcomes: Sequence[Outcome], writing: WritingThread) -> None:
        """Embed the clips that are ready in one call: the busier the model, the more there are."""
        decoded = {outcome.job.clip.id: outcome.decoded for outcome in outcomes if outcome.decoded is not None}
        for one in decoded.values():
            self._clock.add("decode", one.seconds - one.prepared.face_seconds)
            self._clock.add("faces", one.prepared.face_seconds)
        prepared = [unpark(clip) for clip in decoded.values()]
        with _naming([clip.clip_id for clip in prepared], self._extractor.name), self._clock.timing("model"):
            arrays = self._embeddings(prepared)
            sequences = [
                join_codes(clip, array) if clip.encoded else assemble(clip, array)
                for clip, array in zip(prepared, arrays, strict=True)
            ]
        for outcome in outcomes:
            outcome.job.scratch.unlink(missing_ok=True)
        for clip, sequence in zip(prepared, sequences, strict=True):
            writing.submit(partial(self._write, clip.clip_id, sequence, decoded[clip.clip_id].source, clip.notes))

    def _write(
        self, clip_id: str, features: FeatureSequence | CropSequence, source: SourceIdentity, notes: tuple[str, ...]
    ) -> Entry:
        with self._clock.timing("write"):
            return self._folder.write(clip_id, features, source, notes=notes)

    def _count(self, entry: Entry) -> None:
        """Count a clip whose features are written."""
        self.entries[entry.clip_id] = entry
        self.computed += 1
        self._close(self._jobs[entry.clip_id])
        self._emit("extract")

    def _embeddings(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Embed the clips that have a valid row; the others get an empty array."""
        valid = [clip for clip in prepared if (clip.states == State.VALID).any()]
        arrays = self._extractor.embed(valid) if valid else []
        by_id = {clip.clip_id: array for clip, array in zip(valid, arrays, strict=True)}
        empty = np.empty((0, self._extractor.dimension), dtype=np.float32)
        return [by_id.get(clip.clip_id, empty) for clip in prepared]

    def _await_others(self, held: Sequence[Clip]) -> list[Clip]:
        """Give other runs time for their clips; return those to try again, fail those they never finish."""
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
        return list(held)

    def _fail(self, clip: Clip, error: EriError) -> None:
        source = self._sources[clip.id]
        file = "" if source is None else source.name
        failure = describe_failure(error, clip.id, self._extractor.name, file)
        self.failures[clip.id] = failure
        self._emit("extract", failure=failure)

    def _close(self, job: Job) -> None:
        job.close()
        self._jobs.pop(job.clip.id, None)

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
            extractor=self._extractor.name,
            stage=stage,
            done=len(self.entries) + len(self.failures) if done is None else done,
            total=len(self._clips),
            computed=self.computed,
            failed=len(self.failures),
            seconds=0.0 if self._begun is None else time.monotonic() - self._begun,
            failure=failure,
        )
        self._on_event(event)


@contextmanager
def _naming(clip_ids: Sequence[str], extractor: str) -> Iterator[None]:
    """Say which clips were being embedded when something that no one foresaw went wrong."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise RuntimeError(f"clips {', '.join(clip_ids)}: embedding them with {extractor} failed: {error!r}") from error
