"""A feature folder in an object store, worked on through its mirror on this machine.

Reading and writing happen in the mirror exactly as in any feature folder; each finished file is then copied to the
store. Of a clip that is in both, the store's file is the true one; a file that only the mirror has is still to be
copied. What others made is known from one listing of the store and from the index that each machine keeps of the
objects that it wrote, or read and verified, and leaves in the store beside the features (``.records``). A line of it
counts only for the very version of the object that it names. Features are fetched when their content is asked for.

This is not left to fsspec's file cache: that gives an object its final name before all of it is there, so that a second
process reads half of one, it knows no folders, and it cannot tell a feature file that it has from one that fits.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from eri.features.folder import SUFFIX, FeatureFolder, Inventory, match_entry
from eri.features.index import Entry, FeatureIndex
from eri.features.problems import explained
from eri.features.records import CropSequence, FeatureSequence
from eri.features.sources import Source
from eri.storage import ObjectUrl
from eri.storage.location import mirror_path
from eri.storage.mirror import THREADS
from eri.storage.objects import ObjectStamp, ObjectStore
from eri.utils.files import write_text

_DESCRIPTIONS = ("identity.json", "config", "order.json", "failures.csv")
"""What the names of the folder's own files begin with."""

_RECORDS = ".records"
_INDEXED_EVERY = 200
"""Feature files after which this machine's index is copied to the store again."""

_UPLOADERS, _BEHIND = 4, 16
"""Threads that copy to the store, and how many feature files they may be behind."""


class MirroredFolder(FeatureFolder):
    """The features of one extractor in an object store; ``waiting`` lets each write wait until the store has the file.

    Processes of one machine lock clips as always. Machines do not see each other's locks: two that work on one clip
    both compute it, and the later one's file, of equal arrays, replaces the other's.
    """

    on_disk = False

    def __init__(self, path: Path, digest: str, url: ObjectUrl, *, waiting: bool = False) -> None:
        super().__init__(path, digest)
        self._url = url
        self._waiting = waiting
        self._objects = ObjectStore(url)
        self._record = FeatureIndex(path / ".remote" / "record.jsonl")
        self._uploaders: ThreadPoolExecutor | None = None
        self._uploads: deque[Future[None]] = deque()
        self._sent = 0
        self._indexing = threading.Lock()
        self._damaged: set[str] = set()

    def write(
        self, clip_id: str, features: FeatureSequence | CropSequence, source: Source, *, notes: tuple[str, ...] = ()
    ) -> Entry:
        """Write the features of a clip in the mirror and have them copied to the store.

        RemoteError where earlier ones could not be copied; they are in the mirror, and the next run copies them.
        """
        entry = super().write(clip_id, features, source, notes=notes)
        (self._upload if self._waiting else self._upload_later)(entry)
        return entry

    def for_others(self) -> FeatureFolder:
        """Return the folder as others open it: through mirrors of their own, and reporting no clip too early."""
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
        self, sources: Mapping[str, Source | None], *, threads: int = 1, on_checked: Callable[[int], None] | None = None
    ) -> Inventory:
        """Find out which clips are complete and match their sources, here or in the store.

        Of what is in the store only, that which some machine's index knows is not fetched; the rest is, and verified.
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
            elif (matched := match_entry(sources[clip_id], entry)) is not None:
                complete[clip_id] = matched
                if matched != entry:
                    self._note(matched, stamp)
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
        """Make sure that mirror and store can be written; see the base class."""
        super().open_for_writing()
        self._put_descriptions()

    def finish(self) -> None:
        """Wait until everything written is in the store, with what an interrupted run left to copy."""
        self._finish_uploads()
        here = self._stamps()
        if here.keys() - self._listing.keys():  # others may have copied them
            self._listing.update(_feature_files(self._objects.stamps()))
        known = self.index.load()
        for clip_id in [clip_id for clip_id in here if clip_id not in self._listing]:
            entry = known.get(clip_id)
            if entry is None or entry.file != here[clip_id]:
                entry = self.confirm(clip_id, None)
            if entry is not None:
                self._upload_later(entry)
        self._finish_uploads()
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
        """What the indexes of all machines say of the versions of feature files; this one's wins."""
        records = []
        for name, stamp in self._names.items():
            if name.startswith(f"{_RECORDS}/") and name.count("/") == 1 and name.endswith(".jsonl"):
                copy = self._record.path.parent / "others" / name.removeprefix(f"{_RECORDS}/")
                with explained(copy):
                    self._objects.fetch_changed(name, copy, stamp)
                records.append(FeatureIndex(copy))
        lines = (line for record in (*records, self._record) for line in record.lines())
        last = {(clip_id, version): entry for clip_id, version, entry in lines}
        return {key: entry for key, entry in last.items() if entry is not None}

    def _drop_outdated(self, clip_ids: Iterable[str]) -> None:
        """Remove copies of feature files that the store has in another version."""
        both = [clip_id for clip_id in clip_ids if clip_id in self._listing]
        here = self._stamps() if both else {}
        own = {clip_id: (version, entry) for clip_id, version, entry in self._record.lines()} if here else {}
        for clip_id in here.keys() & both:
            version, entry = own.get(clip_id, ("", None))
            if entry is None or version != self._listing[clip_id].version or entry.file != here[clip_id]:
                super().remove(clip_id)

    def _download(self, clip_ids: Collection[str]) -> None:
        """Fetch feature files and verify them; one that is damaged in the store is recorded as such and not kept."""
        wanted = [clip_id for clip_id in clip_ids if clip_id not in self._damaged]
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(self._fetch, wanted))  # after an error those that have not begun are left out

    def _fetch(self, clip_id: str) -> None:
        path, stamp = self.feature_path(clip_id), self._listing[clip_id]
        with explained(path):
            self._objects.fetch(path.name, path)
        entry = self.confirm(clip_id, None)
        self._note(entry or clip_id, stamp)
        if entry is None:
            self._damaged.add(clip_id)
            super().remove(clip_id)

    def _note(self, entry: Entry | str, stamp: ObjectStamp) -> None:
        """Record that an object holds a verified feature file, or, of a clip's id, that it holds another."""
        with explained(self._record.path):
            self._record.path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(entry, str):
                self._record.remove(entry, stamp.version)
            else:
                self._record.add(entry, stamp.version)

    def _upload_later(self, entry: Entry) -> None:
        """Have a feature file copied beside other work; waits while too many are waiting."""
        if self._uploaders is None:
            self._uploaders = ThreadPoolExecutor(_UPLOADERS, thread_name_prefix="upload")
        self._uploads.append(self._uploaders.submit(self._upload, entry))
        self._await_uploads(_BEHIND)

    def _await_uploads(self, waiting: int) -> None:
        while self._uploads and (len(self._uploads) > waiting or self._uploads[0].done()):
            self._uploads.popleft().result()

    def _finish_uploads(self) -> None:
        try:
            self._await_uploads(0)  # raises the first error there was
        finally:
            if self._uploaders is not None:
                self._uploaders.shutdown(wait=True, cancel_futures=True)
                self._uploaders = None
            self._uploads.clear()

    def _upload(self, entry: Entry) -> None:
        name = entry.clip_id + SUFFIX
        stamp = self._objects.put(self.path / name, name)
        self._note(entry, stamp)
        self._listing[entry.clip_id] = stamp
        self._damaged.discard(entry.clip_id)
        with self._indexing:
            self._sent += 1
            due = self._sent % _INDEXED_EVERY == 0
        if due:
            self._put_record()

    def _put_record(self) -> None:
        if self._record.path.exists():
            with self._indexing:
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
        """Copy the folder's own files to the store where they changed; a mirror without them has nothing to say."""
        if not (self.path / "identity.json").exists():
            return
        here = {path.name: path for begin in _DESCRIPTIONS for path in self.path.glob(f"{begin}*")}
        for name, path in here.items():
            there = self._names.get(name)
            if there is None or not there.fits(path):
                stamp = self._names[name] = self._objects.put(path, name)
                os.utime(path, ns=(stamp.mtime_ns, stamp.mtime_ns))
        if "failures.csv" in self._names and "failures.csv" not in here:
            self._objects.delete("failures.csv")
            del self._names["failures.csv"]


def _open_here(digest: str, url: ObjectUrl, waiting: bool) -> MirroredFolder:
    return MirroredFolder(mirror_path(url, "features"), digest, url, waiting=waiting)


def _feature_files(names: Mapping[str, ObjectStamp]) -> dict[str, ObjectStamp]:
    return {
        name.removesuffix(SUFFIX): stamp
        for name, stamp in names.items()
        if name.endswith(SUFFIX) and "/" not in name and not name.startswith(".")
    }


def update_mirror(url: ObjectUrl) -> Path:
    """Bring a store's identities, configs and lists of failures up to date in its mirror; see ``local_features``."""
    root = mirror_path(url, "features")
    for name in ObjectStore(url).folders():
        if name.startswith("."):
            continue
        store, folder = ObjectStore(url / name), root / name
        stamps = [(file, stamp) for begin in _DESCRIPTIONS for file, stamp in store.stamps(begin).items()]
        found = {file: stamp for file, stamp in stamps if "/" not in file}
        for file, stamp in found.items():
            with explained(folder / file):
                store.fetch_changed(file, folder / file, stamp)
        if "failures.csv" not in found:
            with explained(folder):
                (folder / "failures.csv").unlink(missing_ok=True)
    return root
