"""Preparing a clip, as worker processes do it, and how large inputs get from there to the model.

A pipe would copy megabytes through both processes. So inputs go through files in the system's temporary folder
(``TMPDIR`` moves it), which the model reads as memory maps; they are removed as soon as it has. No torch here, so that
workers start quickly.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from eri.data.clips import Clip
from eri.features import locks
from eri.features.problems import explained
from eri.features.records import Prepared, Preparer
from eri.features.sources import Source, identify_source, stamp_source
from eri.storage.mirror import fetched
from eri.utils.errors import ChangedMediaError, StoreError

_LARGE = 32 << 10
"""Inputs of more bytes than this travel through a file: what is smaller fits into a pipe in one piece."""

_PREFIX = "eri-scratch-"
_LOCK = ".lock"


@dataclass(frozen=True)
class ClipPreparer:
    """Prepares clips and identifies their sources: what the worker pool calls.

    Attributes:
        preparer: The part of the extractor that opens media.
        scratch: Folder for large inputs and for media of an object store.
        pass_files: Whether inputs go through files, because they are needed in another process.
    """

    preparer: Preparer
    scratch: Path
    pass_files: bool

    def __call__(self, work: tuple[Clip, Source | None]) -> Prepared:
        """Prepare one clip.

        Raises:
            MediaError: The file is missing, damaged, not media, or was changed meanwhile.
            RemoteError: The object store cannot be reached.
            StoreError: There is no room for the temporary data.
        """
        clip, source = work
        wall, cpu = time.perf_counter(), time.process_time()
        identified = Source()
        with local_media(clip, source, media_copy(self.scratch, clip.id)) as (local_clip, local_source):
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
def local_media(clip: Clip, source: Source | None, folder: Path | None = None) -> Iterator[tuple[Clip, Source | None]]:
    """Yield a clip and its source as files of this machine, for the length of a block.

    Args:
        clip: The clip.
        source: What its features are made from; one that is on this machine is yielded as it is.
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
        copies = {name: path for name in ("video", "audio") if getattr(clip, name) == source.path}
        yield (
            replace(clip, video=copies.get("video", clip.video), audio=copies.get("audio", clip.audio)),
            replace(source, path=path, url=None),
        )


def inputs_file(scratch: Path, clip_id: str) -> Path:
    """Return where the large inputs of a clip stand."""
    return scratch / f"{clip_id}.npy"


def media_copy(scratch: Path, clip_id: str) -> Path:
    """Return the folder in which the media of a clip stand that come from an object store."""
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
    """Return a clip with its inputs, memory-mapped where they went through a file.

    Raises:
        StoreError: The file cannot be read.
    """
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
    shutil.rmtree(media_copy(scratch, clip_id), ignore_errors=True)


class ScratchFolder:
    """A temporary folder that is removed with the block, or by the next run when this process is killed.

    Its lock stands beside it, taken before the folder is made and released after it is removed: a folder whose lock is
    free is a dead process's, at every moment.

    Raises:
        StoreError: The system's temporary folder cannot be written.

    Examples:
        >>> with ScratchFolder() as scratch:
        ...     _ = (scratch.path / "00042.npy").write_text("decoded")
        >>> scratch.path.exists()
        False
    """

    def __init__(self) -> None:
        parent = Path(tempfile.gettempdir())
        with explained(parent):
            # Another run that looks whether a lock is a dead one's holds it for a moment: then this is not ours.
            lock = None
            while lock is None:
                name = _PREFIX + secrets.token_hex(8)
                lock = locks.try_lock(parent, name)
            self._lock = lock
            self.path = parent / name
            self.path.mkdir(mode=0o700)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.release()


def sweep_scratch_folders() -> None:
    """Remove the scratch folders of killed runs; one that cannot be removed, such as another user's, is left."""
    parent = Path(tempfile.gettempdir())
    for name in {path.name.removesuffix(_LOCK) for path in parent.glob(f"{_PREFIX}*")}:
        with suppress(OSError):
            lock = locks.try_lock(parent, name)
            if lock is not None:
                with lock:
                    shutil.rmtree(parent / name, ignore_errors=True)
