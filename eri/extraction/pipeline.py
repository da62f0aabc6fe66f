"""The way of clips through one process: claimed, prepared by workers, embedded by the model, written by a thread."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from eri.config import Runtime
from eri.extraction.engine import Settled, Task
from eri.extraction.pool import ClipPool, Job, Outcome
from eri.extraction.scratch import ScratchFolder, sweep_scratch_folders
from eri.extraction.stages import StageClock, StageShares
from eri.extraction.worker import unpark
from eri.features.folder import FeatureFolder
from eri.features.index import Entry
from eri.features.records import CropSequence, Extractor, FeatureSequence, Prepared, assemble, join_codes
from eri.features.sources import Source
from eri.media.on_device import FALLBACK
from eri.media.state import State
from eri.utils.errors import DataError, EriError, MediaError, WorkerError

WAITING = 4
"""Clips that may wait for being written: they are in memory, and their claims are held."""


class WritingThread:
    """Writes in the order of submission, a bounded number behind; use it as a context.

    What was submitted is written even when the block ends with an error.

    Args:
        on_written: Called, in the thread that submits and settles, with the result of each write.
    """

    def __init__(self, on_written: Callable[[Entry], None]) -> None:
        self._on_written = on_written
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writing")
        self._futures: deque[Future[Entry]] = deque()

    def submit(self, write: Callable[[], Entry]) -> None:
        """Have something written; waits while too much is waiting, and settles what is done."""
        self._futures.append(self._thread.submit(write))
        self._settle(WAITING)

    def finish(self) -> None:
        """Wait until everything is written.

        Raises:
            StoreError: The disk is full or read-only.
        """
        self._settle(0)

    def _settle(self, waiting: int) -> None:
        while self._futures and (len(self._futures) > waiting or self._futures[0].done()):
            self._on_written(self._futures.popleft().result())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)


_LOG = logging.getLogger(__name__)

_CLIP_ERRORS = (MediaError, DataError, WorkerError)
"""Errors that are about one clip. Others, such as missing weights, would fail every clip alike and stop the run."""


class Pipeline:
    """A line whose stages are this process and its workers; use it as a context.

    Attributes:
        clock: What each stage took.

    Args:
        extractor: The model.
        folder: Where the features go.
        runtime: Workers and timeout.
        clips: How many clips there are to do; no more workers than that are started.
        on_settled: Called with what became of each clip, in the thread that submits and advances.
    """

    def __init__(
        self,
        extractor: Extractor,
        folder: FeatureFolder,
        runtime: Runtime,
        clips: int,
        on_settled: Callable[[Settled], None],
    ) -> None:
        self.clock = StageClock()
        self._extractor = extractor
        self._folder = folder
        self._workers = min(runtime.workers, clips)
        self._on_settled = on_settled
        self._pool = ClipPool(extractor.preparer, runtime, clips)
        self._writing = WritingThread(self._count)
        self._jobs: dict[str, Job] = {}
        self._exits = ExitStack()
        self._told_of_fallback = False

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            sweep_scratch_folders()
            self._scratch = exits.enter_context(ScratchFolder())
            exits.callback(self._close_jobs)
            exits.enter_context(self._writing)
            exits.enter_context(self._pool)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)

    @property
    def has_room(self) -> bool:
        """Whether another clip may be submitted."""
        return self._pool.has_room

    @property
    def busy(self) -> bool:
        """Whether any clip has been submitted and not told of."""
        return bool(self._jobs)

    def submit(self, task: Task) -> None:
        """Claim a clip and have it prepared; tells at once when it is complete, or when another run has it.

        Raises:
            StoreError: The folder cannot be written.
        """
        clip = task.clip
        claim = self._folder.lock_clip(clip.id)
        if claim is None:
            self._on_settled(Settled(clip.id))
            return
        job = self._jobs[clip.id] = Job(clip, task.source, claim, self._scratch.file(clip.id))
        # Another run may have finished the clip since the inventory was taken.
        entry = self._folder.confirm(clip.id, task.source)
        if entry is not None:
            self._close(job)
            self._on_settled(Settled(clip.id, entry))
            return
        # What does not match must not outlive a failure, or training would take it for the clip's features.
        self._folder.remove(clip.id)
        self._pool.submit(job)

    def advance(self) -> None:
        """Wait for clips that are prepared, embed them, and tell of those that are written or failed.

        Raises:
            StoreError: The feature folder cannot be written; what was finished before is kept.
            EriError: Something that concerns every clip, such as missing weights.
            RuntimeError: A bug; it names the clip, and the error itself is its cause.
        """
        if self._pool.busy:
            self._settle(self._pool.collect())
        else:
            self._writing.finish()

    def shares(self, seconds: float) -> StageShares | None:
        """Return how busy each stage was in so many seconds; None where nothing was done."""
        return self.clock.shares(seconds, self._workers)

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        self._embed([outcome for outcome in outcomes if outcome.decoded is not None])
        unexpected: list[Outcome] = []
        for outcome in outcomes:
            if isinstance(outcome.error, _CLIP_ERRORS):
                self._on_settled(Settled(outcome.job.clip.id, error=outcome.error))
                self._close(outcome.job)
            elif outcome.error is not None:
                unexpected.append(outcome)
        if unexpected:
            error = unexpected[0].error
            if isinstance(error, EriError):
                raise error
            clip_id = unexpected[0].job.clip.id
            raise RuntimeError(f"clip {clip_id}: preparing it for {self._extractor.name} failed: {error!r}") from error

    def _embed(self, outcomes: Sequence[Outcome]) -> None:
        """Embed the clips that are ready in one call: the busier the model, the more there are."""
        decoded = {outcome.job.clip.id: outcome.decoded for outcome in outcomes if outcome.decoded is not None}
        for one in decoded.values():
            self.clock.add("decode", one.seconds - one.prepared.face_seconds)
            self.clock.add("faces", one.prepared.face_seconds)
            self.clock.count(busy=one.busy, media=_covered(one.prepared.times))
            self._tell_of_fallback(one.prepared)
        busy = time.process_time()
        prepared = [unpark(clip) for clip in decoded.values()]
        with _naming([clip.clip_id for clip in prepared], self._extractor.name), self.clock.timing("model"):
            arrays = self._embeddings(prepared)
            sequences = [
                join_codes(clip, array) if clip.encoded else assemble(clip, array)
                for clip, array in zip(prepared, arrays, strict=True)
            ]
        self.clock.count(busy=time.process_time() - busy)
        for outcome in outcomes:
            outcome.job.scratch.unlink(missing_ok=True)
        for clip, sequence in zip(prepared, sequences, strict=True):
            self._writing.submit(partial(self._write, clip.clip_id, sequence, decoded[clip.clip_id].source, clip.notes))

    def _tell_of_fallback(self, prepared: Prepared) -> None:
        """Warn, once, that a clip was decoded by another decoder than the one that was asked for."""
        for note in prepared.notes:
            if note.startswith(FALLBACK) and not self._told_of_fallback:
                _LOG.warning(
                    "clip %s was %s; others may be, and the notes of their features say so", prepared.clip_id, note
                )
                self._told_of_fallback = True

    def _embeddings(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Embed the clips that have a valid row; the others get an empty array."""
        valid = [clip for clip in prepared if (clip.states == State.VALID).any()]
        arrays = self._extractor.embed(valid) if valid else []
        by_id = {clip.clip_id: array for clip, array in zip(valid, arrays, strict=True)}
        empty = np.empty((0, self._extractor.dimension), dtype=np.float32)
        return [by_id.get(clip.clip_id, empty) for clip in prepared]

    def _write(
        self, clip_id: str, features: FeatureSequence | CropSequence, source: Source, notes: tuple[str, ...]
    ) -> Entry:
        with self.clock.timing("write"):
            return self._folder.write(clip_id, features, source, notes=notes)

    def _count(self, entry: Entry) -> None:
        """Tell of a clip whose features are written."""
        self._close(self._jobs[entry.clip_id])
        self._on_settled(Settled(entry.clip_id, entry, computed=True))

    def _close_jobs(self) -> None:
        for job in list(self._jobs.values()):
            self._close(job)

    def _close(self, job: Job) -> None:
        job.close()
        self._jobs.pop(job.clip.id, None)


def _covered(times: NDArray[np.float64]) -> float:
    """Return the seconds of media that rows at even times stand for.

    Examples:
        >>> _covered(np.array([0.5, 1.5, 2.5])), _covered(np.array([2.0])), _covered(np.array([]))
        (3.0, 4.0, 0.0)
    """
    if len(times) > 1:
        return float((times[-1] - times[0]) * len(times) / (len(times) - 1))
    return float(2 * times.sum())


@contextmanager
def _naming(clip_ids: Sequence[str], extractor: str) -> Iterator[None]:
    """Say which clips were being embedded when something that no one foresaw went wrong."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise RuntimeError(f"clips {', '.join(clip_ids)}: embedding them with {extractor} failed: {error!r}") from error
