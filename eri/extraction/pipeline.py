"""The way of clips through one process: prepared by workers, embedded in batches by the model, written by a thread."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from eri.config import Runtime
from eri.data.clips import Clip
from eri.extraction.preparation import (
    ClipPreparer,
    ScratchFolder,
    load_inputs,
    remove_temporary,
    sweep_scratch_folders,
)
from eri.extraction.rates import StageClock, StageShares
from eri.features.folder import FeatureFolder
from eri.features.index import Entry
from eri.features.locks import Lock
from eri.features.records import CropSequence, Extractor, FeatureSequence, Prepared, assemble, join_codes
from eri.features.sources import Source
from eri.media.on_device import FALLBACK
from eri.media.state import State
from eri.utils.errors import DataError, EriError, MediaError, WorkerError
from eri.utils.workers import WorkerPool

WAITING = 4
"""Clips that may wait for being written: they are in memory, and their locks are held."""

_LOG = logging.getLogger(__name__)

_CLIP_ERRORS = (MediaError, DataError, WorkerError)
"""Errors that are about one clip. Others, such as missing weights, would fail every clip alike and stop the run."""

Work = tuple[Clip, Source | None]
"""A clip and what its features are made from; None where the data set names nothing."""


@dataclass(frozen=True)
class ClipResult:
    """What became of a clip: it has features, it failed, or, with neither, another run works on it.

    Attributes:
        clip_id: The clip's id.
        entry: Of its features in the index.
        error: Why it failed.
        computed: Whether the features were made just now, and not found.
    """

    clip_id: str
    entry: Entry | None = None
    error: EriError | None = None
    computed: bool = False


class Engine(Protocol):
    """A loaded extractor and what runs it: processes of this machine, or actors of a Ray cluster.

    Attributes:
        name: Short name for folders and tables.
        modality: What the features describe.
    """

    name: str
    modality: Literal["visual", "audio"]

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers, see :class:`~eri.features.records.Extractor`."""
        ...

    @contextmanager
    def open(self, folder: FeatureFolder, clips: int) -> Iterator[None]:
        """Be ready to process clips, for the length of a block.

        Args:
            folder: Where the features go.
            clips: How many clips there are to process.
        """
        ...

    def process(self, work: Iterable[Work | None]) -> Iterator[ClipResult]:
        """Process clips, a bounded number ahead, and yield what became of each, in any order.

        Args:
            work: The clips, asked for as there is room for them. None stands for no clip just now.

        Raises:
            StoreError: The feature folder cannot be written; what was finished before is kept.
            EriError: Something that concerns every clip, such as missing weights.
            RuntimeError: A bug; it names the clip, and the error itself is its cause.
        """
        ...

    def shares(self, seconds: float) -> StageShares | None:
        """Return how busy each stage was in so many seconds; None where nothing was done."""
        ...


def look_ahead(workers: int) -> int:
    """Return how many clips are prepared at a time.

    Enough that no worker waits for the model to finish a batch, few enough that memory stays small.
    """
    return 2 * workers + 8 if workers else 2


class LocalEngine:
    """An extractor in this process, with worker processes beside it that open media.

    Attributes:
        name: Short name for folders and tables.
        modality: What the features describe.
        clock: What each stage took.

    Args:
        extractor: The extractor.
        runtime: Workers and timeout. Without workers a thread of this process opens media, without a timeout.
    """

    def __init__(self, extractor: Extractor, runtime: Runtime) -> None:
        self.name = extractor.name
        self.modality = extractor.modality
        self.clock = StageClock()
        self.identity = extractor.identity
        self._extractor = extractor
        self._runtime = runtime
        self._locks: dict[str, Lock] = {}
        self._preparing: dict[Future[Prepared], str] = {}
        self._writing: deque[Future[Entry]] = deque()
        self._warned = False

    @contextmanager
    def open(self, folder: FeatureFolder, clips: int) -> Iterator[None]:
        """Hold worker processes, no more than there are clips, and a folder for temporary data."""
        self._folder = folder
        self._workers = min(self._runtime.workers, clips)
        sweep_scratch_folders()
        with ExitStack() as exits:
            self._scratch = exits.enter_context(ScratchFolder()).path
            exits.callback(self._release_all)
            # What was handed to it is written even when the block ends with an error.
            self._writer = exits.enter_context(ThreadPoolExecutor(max_workers=1, thread_name_prefix="writing"))
            self._pool = exits.enter_context(
                WorkerPool(
                    ClipPreparer(self._extractor.preparer, self._scratch, pass_files=self._workers > 0),
                    self._workers,
                    timeout=self._runtime.timeout,
                    task="preparing it",
                    hint="Give clips more time with --timeout SECONDS.",
                    threads=1,
                    # A model whose every thread loses its core for a while to some worker waits for the last of them
                    # again and again: where workers fill the machine, they get what the model leaves.
                    giving_way=self._workers >= (os.cpu_count() or 1),
                )
            )
            yield

    def process(self, work: Iterable[Work | None]) -> Iterator[ClipResult]:
        """See :meth:`Engine.process`."""
        for item in work:
            if item is not None:
                yield from self._begin(*item)
            elif self._locks:
                yield from self._advance()
            while len(self._preparing) >= look_ahead(self._workers):
                yield from self._advance()
        while self._locks:
            yield from self._advance()

    def shares(self, seconds: float) -> StageShares | None:
        """See :meth:`Engine.shares`."""
        return self.clock.shares(seconds, self._workers)

    def _begin(self, clip: Clip, source: Source | None) -> Iterator[ClipResult]:
        """Lock a clip and have it prepared, unless it is complete or another run works on it."""
        lock = self._folder.lock_clip(clip.id)
        if lock is None:
            yield ClipResult(clip.id)
            return
        self._locks[clip.id] = lock
        # Another run may have finished the clip since the cache was checked.
        entry = self._folder.confirm(clip.id, source)
        if entry is not None:
            self._release(clip.id)
            yield ClipResult(clip.id, entry)
            return
        # What does not match must not outlive a failure, or training would take it for the clip's features.
        self._folder.remove(clip.id)
        self._preparing[self._pool.submit((clip, source), f"clip {clip.id}")] = clip.id

    def _advance(self) -> Iterator[ClipResult]:
        """Wait for clips that are prepared, embed them, and yield those that are written or failed."""
        if not self._preparing:
            yield from self._written(0)
            return
        wait(self._preparing, return_when=FIRST_COMPLETED)
        prepared: list[Prepared] = []
        failed: list[ClipResult] = []
        unexpected: list[tuple[str, BaseException]] = []
        for future in [future for future in self._preparing if future.done()]:
            clip_id, error = self._preparing.pop(future), future.exception()
            if error is None:
                prepared.append(future.result())
            elif isinstance(error, _CLIP_ERRORS):
                failed.append(ClipResult(clip_id, error=error))
            else:
                unexpected.append((clip_id, error))
        if prepared:
            self._embed(prepared)
            yield from self._written(WAITING)
        for result in failed:
            self._release(result.clip_id)
            yield result
        for clip_id, error in unexpected:
            if isinstance(error, EriError):
                raise error
            raise RuntimeError(f"clip {clip_id}: preparing it for {self.name} failed: {error!r}") from error

    def _embed(self, prepared: Sequence[Prepared]) -> None:
        """Embed the clips that are ready in one call: the busier the model, the more there are."""
        for clip in prepared:
            self.clock.add("decode", clip.seconds - clip.face_seconds)
            self.clock.add("faces", clip.face_seconds)
            self.clock.count(busy=clip.cpu_seconds, media=_covered(clip.times))
            self._warn_about_decoder(clip)
        busy = time.process_time()
        clips = [load_inputs(clip, self._scratch) for clip in prepared]
        with _naming([clip.clip_id for clip in clips], self.name), self.clock.timing("model"):
            arrays = self._embeddings(clips)
            sequences = [
                join_codes(clip, array) if clip.encoded else assemble(clip, array)
                for clip, array in zip(clips, arrays, strict=True)
            ]
        self.clock.count(busy=time.process_time() - busy)
        for clip, sequence in zip(prepared, sequences, strict=True):
            remove_temporary(self._scratch, clip.clip_id)
            self._writing.append(self._writer.submit(self._write, clip, sequence))

    def _embeddings(self, clips: Sequence[Prepared]) -> list[NDArray[Any]]:
        """Embed the clips that have a valid row; the others get an empty array."""
        valid = [clip for clip in clips if (clip.states == State.VALID).any()]
        arrays = iter(self._extractor.embed(valid) if valid else [])
        empty = np.empty((0, self._extractor.dimension), dtype=np.float32)
        return [next(arrays) if (clip.states == State.VALID).any() else empty for clip in clips]

    def _warn_about_decoder(self, clip: Prepared) -> None:
        """Warn, once, that a clip was decoded by another decoder than the one that was asked for."""
        note = next((note for note in clip.notes if note.startswith(FALLBACK)), None)
        if note is not None and not self._warned:
            _LOG.warning("clip %s was %s; others may be, and the notes of their features say so", clip.clip_id, note)
            self._warned = True

    def _write(self, clip: Prepared, features: FeatureSequence | CropSequence) -> Entry:
        with self.clock.timing("write"):
            return self._folder.write(clip.clip_id, features, clip.source, notes=clip.notes)

    def _written(self, waiting: int) -> Iterator[ClipResult]:
        """Yield the clips that are written, in order, until no more than so many wait."""
        while self._writing and (len(self._writing) > waiting or self._writing[0].done()):
            entry = self._writing.popleft().result()
            self._release(entry.clip_id)
            yield ClipResult(entry.clip_id, entry, computed=True)

    def _release(self, clip_id: str) -> None:
        remove_temporary(self._scratch, clip_id)
        self._locks.pop(clip_id).release()

    def _release_all(self) -> None:
        for clip_id in list(self._locks):
            self._release(clip_id)
        self._preparing.clear()
        self._writing.clear()


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
