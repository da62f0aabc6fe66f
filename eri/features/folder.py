"""A feature folder: writing and reading the features of one extractor, and checking which clips it has."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from eri.features.format import read_record, write_record
from eri.features.index import Entry, FeatureIndex, FileStamp
from eri.features.locks import Lock, is_locked, remove_stale_locks, try_lock, wait_for_lock
from eri.features.problems import explained
from eri.features.records import CropSequence, FeatureSequence
from eri.features.sources import Source, identify_source, stamp_source
from eri.media.state import State
from eri.utils.errors import MediaError, MissingMediaError, StoreError

SUFFIX = ".safetensors"

_FORGOTTEN = 3600.0
"""Seconds after which a temporary file of the whole folder has lost its writer."""

_TEMPORARY = re.compile(r"\.(?P<target>.+)\.\d+\.[0-9a-f]{8}\.tmp")


@dataclass(frozen=True)
class Inventory:
    """Which clips of a list have features that are complete and match.

    Attributes:
        complete: Their index entries by clip id.
        incomplete: Ids of the others, in the order asked for.
    """

    complete: dict[str, Entry]
    incomplete: tuple[str, ...]


class FeatureFolder:
    """The features of one extractor: one file per clip.

    Several processes may read and write one folder at once; whoever writes a clip holds its :meth:`lock_clip`.

    Attributes:
        path: Where the folder is.
        digest: Digest of the extractor's identity, 64 hex digits.
        index: Which of its files have been verified.
        locks: Folder of the lock files.
        on_disk: Whether other machines have to see it under the same path to work on it.
    """

    on_disk = True

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        self.digest = digest
        self.index = FeatureIndex(path / "journal.jsonl")
        self.locks = path / ".claims"

    def feature_path(self, clip_id: str) -> Path:
        """Return where the features of a clip stand."""
        return self.path / f"{clip_id}{SUFFIX}"

    def write(
        self,
        clip_id: str,
        features: FeatureSequence | CropSequence,
        source: Source,
        *,
        notes: tuple[str, ...] = (),
    ) -> Entry:
        """Write the features of a clip in one atomic step; earlier ones are replaced.

        Args:
            clip_id: The clip's id.
            features: Its arrays.
            source: What they were made from.
            notes: Warnings about the clip.

        Raises:
            StoreError: The disk is full or the folder read-only; nothing half-written is left.
        """
        path = self.feature_path(clip_id)
        with explained(path):
            record = replace(features, clip_id=clip_id, identity=self.digest, source=source, notes=notes)
            entry = _entry(replace(record, checksum=write_record(path, record)), FileStamp.of(path.stat()))
            self.index.add(entry)
        return entry

    def read(self, clip_id: str) -> FeatureSequence:
        """Return the features of a clip, verified.

        Raises:
            StoreError: There are none, its checksum or identity does not match, or it holds face crops.
        """
        features = self.read_record(clip_id)
        if isinstance(features, CropSequence):
            raise StoreError(
                f"{self.path}: holds face crops, not embeddings",
                hint="Only a model that learns from pixels reads them.",
            )
        return features

    def read_crops(self, clip_id: str) -> CropSequence:
        """Return the face crops of a clip, verified.

        Raises:
            StoreError: There are none, its checksum or identity does not match, or it holds embeddings.
        """
        features = self.read_record(clip_id)
        if isinstance(features, FeatureSequence):
            raise StoreError(f"{self.path}: holds embeddings, not face crops")
        return features

    def read_record(self, clip_id: str) -> FeatureSequence | CropSequence:
        """Return the features of a clip with all that their file says of them, verified.

        A file whose checksum or identity does not match is removed from the index: the next extraction writes it again.

        Raises:
            StoreError: There are none, or the file's checksum or identity does not match.
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
        self,
        sources: Mapping[str, Source | None],
        *,
        threads: int = 1,
        on_checked: Callable[[int], None] | None = None,
    ) -> Inventory:
        """Find out which clips are complete and match their sources.

        What the index knows is confirmed by the size and times of the two files. Anything else is verified: the feature
        file by its checksum, and a source that looks different by the hash of its content. Features whose source is
        gone are kept.

        Args:
            sources: Source of each clip; None where the data set names none.
            threads: How many files to verify at once.
            on_checked: Called with the number of clips checked so far.
        """
        known = self.index.load()
        stamps = self._stamps()
        complete: dict[str, Entry] = {}
        doubtful: list[str] = []
        for clip_id, source in sources.items():
            entry = known.get(clip_id)
            if entry is not None and entry.file == stamps.get(clip_id) and _looks_the_same(source, entry):
                complete[clip_id] = entry
            elif clip_id in stamps:
                doubtful.append(clip_id)
        known_count = len(sources) - len(doubtful)
        if on_checked is not None:
            on_checked(known_count)
        pool = ThreadPoolExecutor(max(1, threads))
        try:
            found = pool.map(lambda clip_id: self._verify(clip_id, sources[clip_id], known.get(clip_id)), doubtful)
            for count, (clip_id, verified) in enumerate(zip(doubtful, found, strict=True), start=1):
                if verified is not None:
                    complete[clip_id] = verified
                if on_checked is not None:
                    on_checked(known_count + count)
        finally:
            pool.shutdown(cancel_futures=True)  # so that Ctrl-C does not wait for thousands of files
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
        """Lock a clip for writing; None while another process holds it.

        Raises:
            StoreError: The folder cannot be written.
        """
        with explained(self.locks):
            return try_lock(self.locks, clip_id)

    def lock(self, purpose: str) -> Lock:
        """Wait for the lock on a file of the whole folder, such as the failures.

        Raises:
            StoreError: The folder cannot be written.
        """
        with explained(self.locks):
            return wait_for_lock(self.locks, purpose)

    def open_for_writing(self) -> None:
        """Make sure that the folder can be written, and sweep away what killed processes left in it.

        Raises:
            StoreError: It cannot.
        """
        probe = self.path / f".probe.{os.getpid()}.{os.urandom(4).hex()}.tmp"
        with explained(self.path):
            probe.touch()
            probe.unlink(missing_ok=True)
        self.sweep_all()

    def sweep_all(self) -> None:
        """Sweep away what killed processes left in this folder.

        Raises:
            StoreError: The folder cannot be written.
        """
        with explained(self.path):
            remove_stale_locks(self.locks)
            for path in list(self.path.glob(".*.tmp")):
                self.sweep(path)

    def leftovers(self) -> list[Path]:
        """Return the temporary files that killed processes left."""
        found = []
        for path in sorted(self.path.glob(".*.tmp")):
            target = _target(path)
            if target is None:
                continue
            clip_id = target.removesuffix(SUFFIX)
            if _is_forgotten(path) if clip_id == target else not is_locked(self.locks, clip_id):
                found.append(path)
        return found

    def sweep(self, path: Path) -> None:
        """Remove a temporary file of this folder if its writer is dead.

        Raises:
            OSError: The folder cannot be written.
        """
        target = _target(path)
        if target is None:
            return
        if not target.endswith(SUFFIX):
            if _is_forgotten(path):
                path.unlink(missing_ok=True)
            return
        # Whoever writes a temporary file of a clip holds its lock, so one that is free means a dead writer.
        if (lock := try_lock(self.locks, target.removesuffix(SUFFIX))) is not None:
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
        path = self.feature_path(clip_id)
        try:
            stamp = FileStamp.of(path.stat())
            entry = known
            if entry is None or entry.file != stamp:
                record = self.read_record(clip_id)
                entry = _entry(record, stamp)
        except (OSError, StoreError):
            return None
        matched = match_source(source, entry)
        if matched is not None and matched != known:
            with suppress(OSError):  # a cache that may only be read still serves, it is merely verified each time
                self.index.add(matched)
        return matched


def _target(path: Path) -> str | None:
    """Return the name of the file that a temporary file was to become."""
    match = _TEMPORARY.fullmatch(path.name)
    return None if match is None else match["target"]


def _is_forgotten(path: Path) -> bool:
    """Tell whether a temporary file of the whole folder is old: these take no lock, but are written in a moment.

    One of the far future was written before the clock was set back.
    """
    try:
        return abs(time.time() - path.stat().st_mtime) > _FORGOTTEN
    except FileNotFoundError:
        return False


def _entry(record: FeatureSequence | CropSequence, stamp: FileStamp) -> Entry:
    counts = np.bincount(record.states, minlength=len(State))
    dimension = 0 if isinstance(record, CropSequence) else record.embeddings.shape[1]
    return Entry(record.clip_id, stamp, record.checksum, record.source, tuple(counts.tolist()), dimension)


def _looks_the_same(source: Source | None, entry: Entry) -> bool:
    if source is None:
        return True
    try:
        return stamp_source(source).looks_like(entry.source)
    except MissingMediaError:
        return True
    except MediaError:
        return False


def match_source(source: Source | None, entry: Entry) -> Entry | None:
    """Return the entry, with the source's new stamp where only that changed; None where the content did."""
    if source is None or _looks_the_same(source, entry):
        return entry
    try:
        now = identify_source(source)
    except MediaError:
        return None
    return replace(entry, source=now) if now.sha256 == entry.source.sha256 else None
