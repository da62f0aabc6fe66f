"""A feature folder: writing and reading the features of one extractor, and checking which clips it has."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from eri.features.format import read_record, write_record
from eri.features.index import Entry, FeatureIndex, FileStamp
from eri.features.locks import Lock, is_locked, remove_stale_locks, try_lock, wait_for_lock
from eri.features.problems import explained
from eri.features.records import CropSequence, FeatureSequence
from eri.features.sources import Source, looks_unchanged, match_source
from eri.media.state import State
from eri.utils.errors import StoreError
from eri.utils.files import hidden_beside

Item = TypeVar("Item")
Result = TypeVar("Result")

SUFFIX = ".safetensors"

_FORGOTTEN = 3600.0
"""Seconds after which a temporary file of the whole folder has lost its writer."""

_TEMPORARY = re.compile(r"\.(?P<target>.+)\.\d+\.[0-9a-f]{8}\.tmp")


@dataclass(frozen=True)
class Inventory:
    """Which clips of a list have features that are complete and match, and the others in the order asked for."""

    complete: dict[str, Entry]
    incomplete: tuple[str, ...]


class FeatureFolder:
    """The features of one extractor, whose identity has the digest: one file per clip.

    Several processes may read and write one folder at once; whoever writes a clip holds its :meth:`lock_clip`.
    """

    on_disk = True  # other machines have to see the folder under the same path to work on it

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        self.digest = digest
        self.index = FeatureIndex(path / "journal.jsonl")
        self.locks = path / ".claims"

    def feature_path(self, clip_id: str) -> Path:
        """Return where the features of a clip stand."""
        return self.path / f"{clip_id}{SUFFIX}"

    def write(
        self, clip_id: str, features: FeatureSequence | CropSequence, source: Source, *, notes: tuple[str, ...] = ()
    ) -> Entry:
        """Write the features of a clip in one atomic step, over earlier ones, with warnings about the clip as notes.

        StoreError where the disk is full or the folder read-only; nothing half-written is left.
        """
        path = self.feature_path(clip_id)
        with explained(path):
            record = replace(features, clip_id=clip_id, identity=self.digest, source=source, notes=notes)
            entry = _entry(replace(record, checksum=write_record(path, record)), FileStamp.of(path.stat()))
            self.index.add(entry)
        return entry

    def read(self, clip_id: str) -> FeatureSequence:
        """Return the features of a clip, verified; StoreError of face crops too, see :meth:`read_record`."""
        features = self.read_record(clip_id)
        if isinstance(features, CropSequence):
            hint = "Only a model that learns from pixels reads them."
            raise StoreError(f"{self.path}: holds face crops, not embeddings", hint=hint)
        return features

    def read_crops(self, clip_id: str) -> CropSequence:
        """Return the face crops of a clip, verified; StoreError of embeddings too, see :meth:`read_record`."""
        features = self.read_record(clip_id)
        if isinstance(features, FeatureSequence):
            raise StoreError(f"{self.path}: holds embeddings, not face crops")
        return features

    def read_record(self, clip_id: str) -> FeatureSequence | CropSequence:
        """Return the features of a clip with all that their file says of them.

        StoreError where there are none, or where the file's checksum or identity does not match: it is then removed
        from the index, so that the next extraction writes it again.
        """
        path = self.feature_path(clip_id)
        try:
            record = read_record(path)
            if (record.clip_id, record.identity) != (clip_id, self.digest):
                raise StoreError(f"{path}: holds clip '{record.clip_id}' of extractor {record.identity[:12]}")
        except StoreError as error:
            with suppress(OSError):
                self.index.remove(clip_id)
            raise StoreError(error.message, hint="Run `eri extract` again: it writes this file again.") from error
        return record

    def remove(self, clip_id: str) -> None:
        """Remove the features of a clip, if there are any."""
        with explained(path := self.feature_path(clip_id)):
            path.unlink(missing_ok=True)

    def take_inventory(
        self, sources: Mapping[str, Source | None], *, threads: int = 1, on_checked: Callable[[int], None] | None = None
    ) -> Inventory:
        """Find out which clips are complete and match their sources; a source of None, or one that is gone, matches.

        What the index knows is confirmed by the size and times of the two files. Anything else is verified, several
        files at once: the feature file by its checksum, and a source that looks different by the hash of its content.
        ``on_checked`` is called with the number of clips checked so far.
        """
        known, stamps = self.index.load(), self._stamps()
        complete: dict[str, Entry] = {}
        doubtful: list[str] = []
        for clip_id, source in sources.items():
            entry = known.get(clip_id)
            if entry is not None and entry.file == stamps.get(clip_id) and looks_unchanged(source, entry.source):
                complete[clip_id] = entry
            elif clip_id in stamps:
                doubtful.append(clip_id)
        known_count = len(sources) - len(doubtful)
        report = on_checked or (lambda _: None)
        report(known_count)
        found = check_in_threads(
            lambda clip_id: self._verify(clip_id, sources[clip_id], known.get(clip_id)),
            doubtful,
            threads,
            lambda count: report(known_count + count),
        )
        complete |= {clip_id: entry for clip_id, entry in zip(doubtful, found, strict=True) if entry is not None}
        return Inventory(complete, tuple(clip_id for clip_id in sources if clip_id not in complete))

    def confirm(self, clip_id: str, source: Source | None) -> Entry | None:
        """Verify one clip as :meth:`take_inventory` does; None where it is not complete."""
        return self._verify(clip_id, source, None) if self.feature_path(clip_id).exists() else None

    def entries(self, clip_ids: Iterable[str]) -> dict[str, Entry]:
        """Return the entries of those clips whose feature files are whole, whatever became of their sources."""
        return self.take_inventory(dict.fromkeys(clip_ids)).complete

    def for_others(self) -> FeatureFolder:
        """Return the folder for processes that may be on other machines and in other folders."""
        return FeatureFolder(self.path.absolute(), self.digest)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each feature file by clip id; none is opened."""
        return {clip_id: stamp.size for clip_id, stamp in self._stamps().items()}

    def finish(self) -> None:
        """See that everything written is where it belongs: only a folder in an object store has copying to do."""

    def lock_clip(self, clip_id: str) -> Lock | None:
        """Lock a clip for writing; None while another process holds it."""
        with explained(self.locks):
            return try_lock(self.locks, clip_id)

    def lock(self, purpose: str) -> Lock:
        """Wait for the lock on a file of the whole folder, such as the failures."""
        with explained(self.locks):
            return wait_for_lock(self.locks, purpose)

    def open_for_writing(self) -> None:
        """Make sure that the folder can be written, StoreError if not, and sweep away what killed processes left."""
        probe = hidden_beside(self.path / "probe")
        with explained(self.path):
            probe.touch()
            probe.unlink(missing_ok=True)
        self.sweep_all()

    def sweep_all(self) -> None:
        """Sweep away what killed processes left in this folder."""
        with explained(self.path):
            remove_stale_locks(self.locks)
            for path in list(self.path.glob(".*.tmp")):
                self.sweep(path)

    def leftovers(self) -> list[Path]:
        """Return the temporary files that killed processes left."""
        found = []
        for path in sorted(self.path.glob(".*.tmp")):
            target = _target(path)
            clip_id = target.removesuffix(SUFFIX)
            if _is_forgotten(path) if clip_id == target else not is_locked(self.locks, clip_id):
                found.append(path)
        return found

    def sweep(self, path: Path) -> None:
        """Remove a temporary file of this folder if its writer is dead."""
        target = _target(path)
        if not target.endswith(SUFFIX):
            if _is_forgotten(path):
                path.unlink(missing_ok=True)
        # Whoever writes a temporary file of a clip holds its lock, so one that is free means a dead writer.
        elif (lock := try_lock(self.locks, target.removesuffix(SUFFIX))) is not None:
            with lock:
                path.unlink(missing_ok=True)

    def _stamps(self) -> dict[str, FileStamp]:
        stamps = {}
        with suppress(FileNotFoundError), os.scandir(self.path) as items:
            for item in items:
                if item.name.endswith(SUFFIX):
                    with suppress(FileNotFoundError):  # another process cleared it away since
                        stamps[item.name.removesuffix(SUFFIX)] = FileStamp.of(item.stat())
        return stamps

    def _verify(self, clip_id: str, source: Source | None, known: Entry | None) -> Entry | None:
        try:
            stamp = FileStamp.of(self.feature_path(clip_id).stat())
            entry = known if known and known.file == stamp else _entry(self.read_record(clip_id), stamp)
        except (OSError, StoreError):
            return None
        matched = match_entry(source, entry)
        if matched is not None and matched != known:
            with suppress(OSError):  # a cache that may only be read still serves, it is merely verified each time
                self.index.add(matched)
        return matched


def check_in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], threads: int, on_checked: Callable[[int], None]
) -> list[Result]:
    """Return the function of each item, several at once; ``on_checked`` is called with the number done so far."""
    pool, results = ThreadPoolExecutor(max(1, threads)), list[Result]()
    try:
        for result in pool.map(function, items):
            results.append(result)
            on_checked(len(results))
        return results
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C does not wait for thousands of files


def match_entry(source: Source | None, entry: Entry) -> Entry | None:
    """Return an entry for its source as that looks now; None where the source's content is another."""
    now = match_source(source, entry.source)
    return None if now is None else replace(entry, source=now)


def _target(path: Path) -> str:
    """Return the name of the file that a temporary file was to become; empty of another file."""
    match = _TEMPORARY.fullmatch(path.name)
    return "" if match is None else match["target"]


def _is_forgotten(path: Path) -> bool:
    """Tell whether a temporary file of the whole folder is old: these take no lock, but are written in a moment.

    One of the far future was written before the clock was set back.
    """
    try:
        return bool(_target(path)) and abs(time.time() - path.stat().st_mtime) > _FORGOTTEN
    except FileNotFoundError:
        return False


def _entry(record: FeatureSequence | CropSequence, stamp: FileStamp) -> Entry:
    counts = np.bincount(record.states, minlength=len(State))
    dimension = 0 if isinstance(record, CropSequence) else record.embeddings.shape[1]
    return Entry(record.clip_id, stamp, record.checksum, record.source, tuple(counts.tolist()), dimension)
