"""What a worker process does: prepare one clip and hand it over. No torch here, so that workers start quickly."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np

from eri.data.clips import Clip
from eri.features.records import Prepared, Preparer
from eri.features.sources import Source, identify_source, stamp_source
from eri.storage.media import fetched
from eri.utils.errors import ChangedMediaError, StoreError


@contextmanager
def at_hand(clip: Clip, source: Source | None, folder: Path | None = None) -> Iterator[tuple[Clip, Source | None]]:
    """Yield a clip and its source as files of this machine.

    Args:
        clip: The clip.
        source: What its features are made from; one that is here already is yielded as it is.
        folder: Where a copy may stand meanwhile.

    Raises:
        MediaError: The source is not there or may not be read; its message and those of the block name the URL.
        RemoteError: The object store cannot be reached.
        StoreError: There is no room for a copy.
    """
    if source is None or source.url is None:
        yield clip, source
        return
    with fetched(source.url, folder) as path:
        here = {name: path for name in ("video", "audio") if getattr(clip, name) == source.path}
        yield (
            replace(clip, video=here.get("video", clip.video), audio=here.get("audio", clip.audio)),
            replace(source, path=path, url=None),
        )


NO_SOURCE = Source("")
"""The source of a clip for which the data set names no file."""

_LARGE = 32 << 10
"""Inputs of more bytes than this travel through a file: what is smaller fits into a pipe in one piece."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")

_LOWEST_PRIORITY = 19

TIMED_OUT: signal.Signals | None = getattr(signal, "SIGALRM", None)
"""The signal that ends a worker process whose time is up; None where the system has no such timer."""

_PREPARER: ContextVar[Preparer] = ContextVar("preparer")
"""The preparer of this worker process: kept, because a preparer may hold a loaded detector."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """One clip on its way from a worker to the model.

    Attributes:
        prepared: The clip; its inputs are empty while they are parked.
        source: What it was decoded from.
        parked: File that holds the inputs in NumPy's format; None where they are in ``prepared``.
        seconds: What preparing it took.
        busy: Seconds of processor time that a worker process took for it.
    """

    prepared: Prepared
    source: Source
    parked: Path | None = None
    seconds: float = 0.0
    busy: float = 0.0


def start_worker(preparer: Preparer, giving_way: bool = False) -> None:
    """Make this process a worker: one thread a library, and an end when the main process ends.

    Args:
        preparer: What it will prepare clips with.
        giving_way: Whether it only gets the time of the processor that others leave.
    """
    if giving_way:
        os.nice(_LOWEST_PRIORITY)
    for name in _THREADS:
        os.environ[name] = "1"
    for module, function in (("cv2", "setNumThreads"), ("torch", "set_num_threads")):
        if module in sys.modules:
            getattr(sys.modules[module], function)(1)
    end_with_parent()
    _PREPARER.set(preparer)


def end_with_parent() -> None:
    """Have this process end as soon as the one that started it has ended."""
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    # A main process that was killed cannot stop its workers; one that hangs in a decoder would hang on forever.
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def work_on(clip: Clip, source: Source | None, scratch: Path, timeout: float) -> Decoded:
    """Prepare a clip in a worker process and park what is too large to send.

    The process ends by :data:`TIMED_OUT` when that takes longer than ``timeout`` seconds.
    """
    begun = time.process_time()
    with _deadline(timeout):
        decoded = park(prepare_clip(_PREPARER.get(), clip, source, media_folder(scratch)), scratch)
    return replace(decoded, busy=time.process_time() - begun)


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """End this process when a block takes longer.

    The kernel's timer does it: a decoder may hang without giving the interpreter back, and someone may set the clock.
    """
    if TIMED_OUT is None:
        yield
        return
    signal.signal(TIMED_OUT, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def media_folder(scratch: Path) -> Path:
    """Return where the media of a clip may stand that has its inputs parked in a file."""
    return scratch.with_suffix(".media")


def prepare_clip(preparer: Preparer, clip: Clip, source: Source | None, folder: Path | None = None) -> Decoded:
    """Decode one clip and identify its source.

    Args:
        preparer: The part of the extractor that opens media.
        clip: The clip.
        source: What its features are made from; fetched first where it is in an object store.
        folder: Where what is fetched may stand meanwhile; None makes one.

    Raises:
        MediaError: The file is missing, damaged, not media, or was changed meanwhile.
        RemoteError: The object store cannot be reached.
    """
    begun = time.perf_counter()
    with at_hand(clip, source, folder) as (clip, source):
        identity = NO_SOURCE if source is None else identify_source(source)
        prepared = preparer.prepare(clip)
        if source is not None and not stamp_source(source).looks_like(identity):
            raise ChangedMediaError(source.path, "was changed while it was being read")
    if prepared.clip_id != clip.id:
        raise ValueError(f"clip {clip.id} was prepared as '{prepared.clip_id}'")
    return Decoded(prepared, identity, seconds=time.perf_counter() - begun)


def park(decoded: Decoded, scratch: Path) -> Decoded:
    """Put inputs that are more than a pipe takes at once into a file, so that only its name is sent.

    Args:
        decoded: The clip.
        scratch: The file.

    Raises:
        StoreError: The file cannot be written.
    """
    inputs = decoded.prepared.inputs
    if inputs.nbytes <= _LARGE:
        return replace(decoded, prepared=replace(decoded.prepared, inputs=np.array(inputs)))
    try:
        with scratch.open("wb") as stream:
            np.save(stream, inputs, allow_pickle=False)
    except OSError as error:
        raise StoreError(
            f"{scratch}: the temporary data of a clip cannot be written: {error}",
            hint="Free some space there, or set TMPDIR to a folder on another disk.",
        ) from error
    empty = np.empty((0, *inputs.shape[1:]), dtype=inputs.dtype)
    return replace(decoded, prepared=replace(decoded.prepared, inputs=empty), parked=scratch)


def unpark(decoded: Decoded) -> Prepared:
    """Return the clip with its inputs, memory-mapped where they were parked."""
    if decoded.parked is None:
        return decoded.prepared
    try:
        return replace(decoded.prepared, inputs=np.load(decoded.parked, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise StoreError(f"{decoded.parked}: temporary data of a clip is gone: {error}") from error
