"""The way of clips through one process: prepared by workers, embedded in batches by the model, written by a thread.

A pipe would copy megabytes through both processes. So large inputs go through files in the system's temporary folder
(``TMPDIR`` moves it), which the model reads as memory maps; they are removed as soon as it has. Workers import this
module, so nothing here imports torch.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eri.config import Runtime, Stream
from eri.data.clips import Clip
from eri.extraction.rates import StageClock, StageShares
from eri.features import locks
from eri.features.folder import FeatureFolder
from eri.features.index import Entry
from eri.features.problems import explained
from eri.features.records import CropSequence, Extractor, FeatureSequence, Prepared, Preparer, assemble, join_codes
from eri.features.sources import Source, identify_source, stamp_source
from eri.media.on_device import FALLBACK
from eri.media.state import State
from eri.storage.mirror import fetched
from eri.utils.errors import ChangedMediaError, DataError, EriError, MediaError, StoreError, WorkerError
from eri.utils.workers import WorkerPool

WAITING = 4  # clips that may wait for being written: they are in memory, and their locks are held

_LOG = logging.getLogger(__name__)

_CLIP_ERRORS = (MediaError, DataError, WorkerError)
"""Errors that are about one clip. Others, such as missing weights, would fail every clip alike and stop the run."""

_LARGE = 32 << 10  # inputs of more bytes than this travel through a file: what is smaller fits into a pipe in one piece
_PREFIX = "eri-scratch-"

Work = tuple[Clip, Source | None]
"""A clip and what its features are made from; None where the data set names nothing."""


@dataclass(frozen=True)
class ClipResult:
    """What became of a clip: it has features, it failed, or, with neither, another run works on it."""

    clip_id: str
    entry: Entry | None = None  # of its features in the index
    error: EriError | None = None
    computed: bool = False  # just now, and not found


class Engine(Protocol):
    """A loaded extractor and what runs it: processes of this machine, or actors of a Ray cluster."""

    name: str
    modality: Stream

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers, see :class:`~eri.features.records.Extractor`."""
        ...

    @contextmanager
    def open(self, folder: FeatureFolder, clips: int) -> Iterator[None]:
        """Be ready to process so many clips, whose features go into a folder, for the length of a block."""
        ...

    def process(self, work: Iterable[Work | None]) -> Iterator[ClipResult]:
        """Process clips, a bounded number ahead, and yield what became of each, in any order.

        ``work`` is asked for as there is room for it; None stands for no clip just now. Raises what concerns every
        clip, such as missing weights or a full disk (:class:`EriError`), and :class:`RuntimeError` for a bug: it names
        the clip, and the error itself is its cause. What was finished before is kept.
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

    Without workers a thread of this process opens media, without a timeout. ``clock`` has what each stage took.
    """

    def __init__(self, extractor: Extractor, runtime: Runtime) -> None:
        self.name = extractor.name
        self.modality = extractor.modality
        self.clock = StageClock()
        self.identity = extractor.identity
        self._extractor = extractor
        self._runtime = runtime
        self._locks: dict[str, locks.Lock] = {}
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
            self._scratch = exits.enter_context(scratch_folder())
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
        done, _ = wait(self._preparing, return_when=FIRST_COMPLETED)
        prepared: list[Prepared] = []
        failed: list[tuple[str, BaseException]] = []
        for future in [future for future in self._preparing if future in done]:
            clip_id, error = self._preparing.pop(future), future.exception()
            if error is None:
                prepared.append(future.result())
            else:
                failed.append((clip_id, error))
        if prepared:
            self._embed(prepared)
            yield from self._written(WAITING)
        # What ends the run comes last, so that nothing that is done is lost.
        for clip_id, error in sorted(failed, key=lambda one: not isinstance(one[1], _CLIP_ERRORS)):
            if isinstance(error, _CLIP_ERRORS):
                self._release(clip_id)
                yield ClipResult(clip_id, error=error)
            elif isinstance(error, EriError):
                raise error
            else:
                raise RuntimeError(f"clip {clip_id}: preparing it for {self.name} failed: {error!r}") from error

    def _embed(self, prepared: Sequence[Prepared]) -> None:
        """Embed the clips that are ready in one call: the busier the model, the more there are."""
        for clip in prepared:
            self.clock.add("decode", clip.seconds - clip.face_seconds)
            self.clock.add("faces", clip.face_seconds)
            self.clock.add("busy", clip.cpu_seconds)
            self.clock.add("media", _covered(clip.times))
            note = next((note for note in clip.notes if note.startswith(FALLBACK)), None)
            if note is not None and not self._warned:  # another decoder than the one that was asked for
                self._warned = True
                message = "clip %s was %s; others may be, and the notes of their features say so"
                _LOG.warning(message, clip.clip_id, note)
        busy = time.process_time()
        clips = [load_inputs(clip, self._scratch) for clip in prepared]
        try:
            with self.clock.timing("model"):
                arrays = zip(clips, self._embeddings(clips), strict=True)
                sequences = [join_codes(clip, one) if clip.encoded else assemble(clip, one) for clip, one in arrays]
        except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
            named = ", ".join(clip.clip_id for clip in clips)
            raise RuntimeError(f"clips {named}: embedding them with {self.name} failed: {error!r}") from error
        self.clock.add("busy", time.process_time() - busy)
        for clip, sequence in zip(prepared, sequences, strict=True):
            remove_temporary(self._scratch, clip.clip_id)
            self._writing.append(self._writer.submit(self._write, clip, sequence))

    def _embeddings(self, clips: Sequence[Prepared]) -> list[NDArray[Any]]:
        """Embed the clips that have a valid row; the others get an empty array."""
        valid = [clip for clip in clips if (clip.states == State.VALID).any()]
        arrays = iter(self._extractor.embed(valid) if valid else [])
        empty = np.empty((0, self._extractor.dimension), dtype=np.float32)
        return [next(arrays) if (clip.states == State.VALID).any() else empty for clip in clips]

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


@dataclass(frozen=True)
class ClipPreparer:
    """Prepares clips and identifies their sources: what the worker pool calls.

    ``scratch`` is for large inputs, which go through files where they are needed in another process, and for media of
    an object store.
    """

    preparer: Preparer
    scratch: Path
    pass_files: bool

    def __call__(self, work: Work) -> Prepared:
        """Prepare one clip; its media may be damaged or changed meanwhile, the store out of reach, the disk full."""
        clip, source = work
        wall, cpu = time.perf_counter(), time.process_time()
        identified = Source()
        with local_media(clip, source, _media_copy(self.scratch, clip.id)) as (local_clip, local_source):
            if local_source is not None:
                identified = identify_source(local_source)
            prepared = self.preparer.prepare(local_clip)
            if local_source is not None and not stamp_source(local_source).looks_like(identified):
                raise ChangedMediaError(local_source.path, "was changed while it was being read")
        if prepared.clip_id != clip.id:
            raise ValueError(f"clip {clip.id} was prepared as '{prepared.clip_id}'")
        prepared = replace(prepared, source=identified, seconds=time.perf_counter() - wall)
        if self.pass_files:
            inputs = _save_inputs(prepared, inputs_file(self.scratch, clip.id))
            # A worker's time counts; that of a thread would be counted twice, with the model's.
            prepared = replace(prepared, inputs=inputs, cpu_seconds=time.process_time() - cpu)
        return prepared


@contextmanager
def local_media(clip: Clip, source: Source | None, folder: Path | None = None) -> Iterator[Work]:
    """Yield a clip and its source as files of this machine, for the length of a block.

    What is in an object store is copied, into ``folder``; errors of the block name the URL then.
    """
    if source is None or source.url is None:
        yield clip, source
        return
    with fetched(source.url, folder) as path:
        copies = {name: path for name in ("video", "audio") if getattr(clip, name) == source.path}
        local_clip = replace(clip, video=copies.get("video", clip.video), audio=copies.get("audio", clip.audio))
        yield local_clip, replace(source, path=path, url=None)


def inputs_file(scratch: Path, clip_id: str) -> Path:
    """Return where the large inputs of a clip stand."""
    return scratch / f"{clip_id}.npy"


def _media_copy(scratch: Path, clip_id: str) -> Path:
    return scratch / f"{clip_id}.media"


def _save_inputs(prepared: Prepared, path: Path) -> np.ndarray:
    """Save inputs that are too large for a pipe and return none in their place; small ones are returned as they are."""
    inputs = prepared.inputs
    if inputs.nbytes <= _LARGE:
        return np.array(inputs)
    try:
        with path.open("wb") as stream:
            np.save(stream, inputs, allow_pickle=False)
    except OSError as error:
        raise StoreError(
            f"{path}: the temporary data of a clip cannot be written: {error}",
            hint="Free some space there, or set TMPDIR to a folder on another disk.",
        ) from error
    return np.empty((0, *inputs.shape[1:]), dtype=inputs.dtype)


def load_inputs(prepared: Prepared, scratch: Path) -> Prepared:
    """Return a clip with its inputs, memory-mapped where they went through a file."""
    path = inputs_file(scratch, prepared.clip_id)
    try:
        return replace(prepared, inputs=np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        return prepared
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: temporary data of a clip cannot be read: {error}") from error


def remove_temporary(scratch: Path, clip_id: str) -> None:
    """Remove what was kept of a clip, also what a worker left that was killed."""
    inputs_file(scratch, clip_id).unlink(missing_ok=True)
    shutil.rmtree(_media_copy(scratch, clip_id), ignore_errors=True)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a temporary folder that is removed with the block, or by the next run when this process is killed.

    Its lock stands beside it, taken before the folder is made and released after it is removed: a folder whose lock is
    free is a dead process's, at every moment.
    """
    parent = Path(tempfile.gettempdir())
    with explained(parent):
        # Another run that looks whether a lock is a dead one's holds it for a moment: then this is not ours.
        lock = None
        while lock is None:
            path = parent / f"{_PREFIX}{secrets.token_hex(8)}"
            lock = locks.try_lock(parent, path.name)
        path.mkdir(mode=0o700)
    with lock:
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


def sweep_scratch_folders() -> None:
    """Remove the scratch folders of killed runs; one that cannot be removed, such as another user's, is left."""
    parent = Path(tempfile.gettempdir())
    for name in {path.name.removesuffix(".lock") for path in parent.glob(f"{_PREFIX}*")}:
        with suppress(OSError):
            lock = locks.try_lock(parent, name)
            if lock is not None:
                with lock:
                    shutil.rmtree(parent / name, ignore_errors=True)
