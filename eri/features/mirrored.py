"""A feature folder in an object store, worked on through its mirror on this machine.

Reading and writing happen in the mirror exactly as in any feature folder; each finished file is then copied to the
store. Of a clip that is in both, the store's file is the true one; a file that only the mirror has is still to be
copied. What others made is known from one listing and their records (:mod:`eri.features.versions`); it is fetched when
its content is asked for.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path

from eri.features.folder import SUFFIX, FeatureFolder, Inventory, match_source
from eri.features.index import Entry
from eri.features.problems import explained
from eri.features.records import CropSequence, FeatureSequence
from eri.features.sources import Source
from eri.features.versions import Record
from eri.storage import ObjectUrl
from eri.storage.location import mirror_path
from eri.storage.mirror import THREADS
from eri.storage.objects import ObjectStamp, ObjectStore
from eri.storage.uploads import Uploads
from eri.utils.files import write_text

DESCRIPTIONS = ("identity.json", "config", "failures.csv")
"""What the names of the folder's own files begin with."""

_RECORDS = ".records"
_NOTED_EVERY = 200
"""Feature files after which this machine's record is copied to the store anew."""


class MirroredFolder(FeatureFolder):
    """The features of one extractor in an object store.

    Processes of one machine claim clips as always. Machines do not see each other's claims: two that work on one clip
    both compute it, and the later one's file, of equal arrays, replaces the other's.

    Args:
        path: The mirror.
        digest: Digest of the extractor's identity.
        url: The folder in the store.
        waiting: Let each :meth:`write` wait until the store has the file.
    """

    on_disk = False

    def __init__(self, path: Path, digest: str, url: ObjectUrl, *, waiting: bool = False) -> None:
        super().__init__(path, digest)
        self._url = url
        self._waiting = waiting
        self._objects = ObjectStore(url)
        self._record = Record(path / ".remote" / "record.jsonl")
        self._uploads = Uploads()
        self._sent = 0
        self._noting = threading.Lock()
        self._damaged: set[str] = set()

    def write(
        self,
        clip_id: str,
        features: FeatureSequence | CropSequence,
        source: Source,
        *,
        notes: tuple[str, ...] = (),
    ) -> Entry:
        """Write the features of a clip in the mirror and have them copied to the store.

        Raises:
            StoreError: The disk is full or the mirror read-only; nothing half-written is left.
            RemoteError: Earlier features could not be copied; they are in the mirror, and the next run copies them.
        """
        entry = super().write(clip_id, features, source, notes=notes)
        if self._waiting:
            self._upload(entry)
        else:
            self._uploads.submit(partial(self._upload, entry))
        return entry

    def for_others(self) -> FeatureFolder:
        """Return the folder as others open it: through mirrors of their own, and telling of no clip too early."""
        return MirroredFolder(self.path, self.digest, self._url, waiting=True)

    def __reduce__(self) -> tuple[object, ...]:
        return _open_here, (self.digest, self._url, self._waiting)

    def read_record(self, clip_id: str) -> FeatureSequence | CropSequence:
        """Return the features of a clip, fetched where they are not here; see the base class."""
        if clip_id in self._listing and not self.feature_path(clip_id).exists():
            self._download([clip_id])
        return super().read_record(clip_id)

    def remove(self, clip_id: str) -> None:
        """Remove the features of a clip here and in the store."""
        super().remove(clip_id)
        if self._listing.pop(clip_id, None) is not None:
            self._objects.delete(clip_id + SUFFIX)

    def take_inventory(
        self,
        sources: Mapping[str, Source | None],
        *,
        threads: int = 1,
        on_checked: Callable[[int], None] | None = None,
    ) -> Inventory:
        """Find out which clips are complete and match their sources, here or in the store.

        Of what is in the store only, that which some machine's record tells of is not fetched; the rest is, and
        verified.
        """
        self._drop_outdated(sources)
        here = super().take_inventory(sources, threads=threads, on_checked=on_checked)
        elsewhere = [clip_id for clip_id in here.incomplete if clip_id in self._listing]
        complete, unknown = dict(here.complete), []
        for clip_id in elsewhere:
            super().remove(clip_id)  # what is here is damaged, or not the clip's: the store's file decides
            stamp = self._listing[clip_id]
            entry = self._known.get((clip_id, stamp.version))
            if entry is None:
                unknown.append(clip_id)
            elif (matched := match_source(sources[clip_id], entry)) is not None:
                complete[clip_id] = matched
                if matched != entry:
                    with explained(self._record.path):
                        self._record.add(matched, stamp)
        self._download(unknown)
        complete |= super().take_inventory({clip_id: sources[clip_id] for clip_id in unknown}, threads=threads).complete
        return Inventory(
            {clip_id: complete[clip_id] for clip_id in sources if clip_id in complete},
            tuple(clip_id for clip_id in sources if clip_id not in complete),
        )

    def entries(self, clip_ids: Iterable[str]) -> dict[str, Entry]:
        """Return the entries of those clips whose feature files are whole, all of them fetched."""
        ids = list(clip_ids)
        self._drop_outdated(ids)
        here = self._stamps()
        self._download([clip_id for clip_id in ids if clip_id in self._listing and clip_id not in here])
        return super().entries(ids)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each feature file by clip id, here and in the store."""
        return super().sizes() | {clip_id: stamp.size for clip_id, stamp in self._listing.items()}

    def open_for_writing(self) -> None:
        """Make sure that mirror and store can be written; see the base class.

        Raises:
            RemoteError: The store cannot be written.
        """
        super().open_for_writing()
        self._put_descriptions()

    def finish(self) -> None:
        """Wait until everything written is in the store, with what an interrupted run left to copy.

        Raises:
            RemoteError: The store cannot be written; the next run goes on from here.
        """
        self._uploads.finish()
        here = self._stamps()
        if here.keys() - self._listing.keys():  # others may have copied them
            self._listing.update(_feature_files(self._objects.stamps()))
        known = self._journal.load()
        for clip_id in [clip_id for clip_id in here if clip_id not in self._listing]:
            entry = known.get(clip_id)
            if entry is None or entry.file != here[clip_id]:
                entry = self.confirm(clip_id, None)
            if entry is not None:
                self._uploads.submit(partial(self._upload, entry))
        self._uploads.finish()
        self._put_descriptions()
        self._put_record()

    @cached_property
    def _names(self) -> dict[str, ObjectStamp]:
        return self._objects.stamps()

    @cached_property
    def _listing(self) -> dict[str, ObjectStamp]:
        """The feature files in the store by clip id: as listed once, and as changed since by this process."""
        return _feature_files(self._names)

    @cached_property
    def _known(self) -> dict[tuple[str, str], Entry]:
        """What the records of all machines say of the versions of feature files; this one's wins."""
        records = []
        for name, stamp in self._names.items():
            if name.startswith(f"{_RECORDS}/") and name.count("/") == 1 and name.endswith(".jsonl"):
                copy = self._record.path.parent / "others" / name.removeprefix(f"{_RECORDS}/")
                fetch_changed(self._objects, name, copy, stamp)
                records.append(Record(copy))
        known: dict[tuple[str, str], Entry] = {}
        for version in (version for record in [*records, self._record] for version in record.load()):
            if version.entry is None:
                known.pop((version.clip_id, version.version), None)
            else:
                known[version.clip_id, version.version] = version.entry
        return known

    def _drop_outdated(self, clip_ids: Iterable[str]) -> None:
        """Remove copies of feature files that the store has in another version."""
        both = [clip_id for clip_id in clip_ids if clip_id in self._listing]
        here = self._stamps() if both else {}
        own = {version.clip_id: version for version in self._record.load()} if here else {}
        for clip_id in both:
            if clip_id not in here:
                continue
            version = own.get(clip_id)
            same = version is not None and version.version == self._listing[clip_id].version
            if not same or version is None or version.entry is None or version.entry.file != here[clip_id]:
                super().remove(clip_id)

    def _download(self, clip_ids: Collection[str]) -> None:
        """Fetch feature files and verify them; one that is damaged in the store is noted and not kept."""
        wanted = [clip_id for clip_id in clip_ids if clip_id not in self._damaged]
        pool = ThreadPoolExecutor(THREADS)
        try:
            for _ in pool.map(self._fetch, wanted):
                pass
        finally:
            pool.shutdown(cancel_futures=True)

    def _fetch(self, clip_id: str) -> None:
        path, stamp = self.feature_path(clip_id), self._listing[clip_id]
        with explained(path):
            self._objects.fetch(path.name, path)
            entry = self.confirm(clip_id, None)
            if entry is not None:
                self._record.add(entry, stamp)
                return
            self._damaged.add(clip_id)
            self._record.damaged(clip_id, stamp)
        super().remove(clip_id)

    def _upload(self, entry: Entry) -> None:
        name = entry.clip_id + SUFFIX
        stamp = self._objects.put(self.path / name, name)
        with explained(self._record.path):
            self._record.add(entry, stamp)
        self._listing[entry.clip_id] = stamp
        self._damaged.discard(entry.clip_id)
        with self._noting:
            self._sent += 1
            due = self._sent % _NOTED_EVERY == 0
        if due:
            self._put_record()

    def _put_record(self) -> None:
        if self._record.path.exists():
            with self._noting:
                self._objects.put(self._record.path, f"{_RECORDS}/{self._machine}.jsonl")

    @cached_property
    def _machine(self) -> str:
        """The name of this mirror among all that stand for the folder."""
        path = self._record.path.with_name("machine")
        with self.lock("machine"), explained(path):  # another process of this machine must not read it half-written
            name = path.read_text(encoding="utf-8") if path.exists() else ""
            if not name:
                name = secrets.token_hex(8)
                write_text(path, name)
            return name

    def _put_descriptions(self) -> None:
        """Copy the folder's own files to the store where they changed; a mirror without them is no one's to tell."""
        if not (self.path / "identity.json").exists():
            return
        here = {path.name: path.stat() for begin in DESCRIPTIONS for path in self.path.glob(f"{begin}*")}
        for name, status in here.items():
            there = self._names.get(name)
            if there is None or (there.size, there.mtime_ns) != (status.st_size, status.st_mtime_ns):
                stamp = self._names[name] = self._objects.put(self.path / name, name)
                os.utime(self.path / name, ns=(stamp.mtime_ns, stamp.mtime_ns))
        if "failures.csv" in self._names and "failures.csv" not in here:
            self._objects.delete("failures.csv")
            del self._names["failures.csv"]


def _open_here(digest: str, url: ObjectUrl, waiting: bool) -> MirroredFolder:
    return MirroredFolder(mirror_path(url, "features"), digest, url, waiting=waiting)


def _feature_files(names: Mapping[str, ObjectStamp]) -> dict[str, ObjectStamp]:
    """Return the feature files among the objects of a folder, by clip id."""
    return {
        name.removesuffix(SUFFIX): stamp
        for name, stamp in names.items()
        if name.endswith(SUFFIX) and "/" not in name and not name.startswith(".")
    }


def fetch_changed(store: ObjectStore, name: str, target: Path, stamp: ObjectStamp) -> None:
    """Fetch an object into a file that gets its time, unless that is there already.

    Raises:
        RemoteError: It cannot be read.
        StoreError: The file cannot be written.
    """
    with explained(target):
        with suppress(FileNotFoundError):
            status = target.stat()
            if (status.st_size, status.st_mtime_ns) == (stamp.size, stamp.mtime_ns):
                return
        store.fetch(name, target)
        os.utime(target, ns=(stamp.mtime_ns, stamp.mtime_ns))
