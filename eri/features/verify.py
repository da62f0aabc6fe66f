"""Verifying a feature store: every file is read and compared with its checksum, its identity, and the data."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from eri.data.clips import ClipTable
from eri.features.folder import SUFFIX
from eri.features.format import read_record
from eri.features.index import Journal
from eri.features.listing import StoredFolder, stored_folders
from eri.features.locks import find_dead, is_held
from eri.features.problems import explained
from eri.features.records import CropSequence, FeatureSequence
from eri.features.sources import Source, clip_sources, identify_source, stamp_source
from eri.utils.errors import MediaError, MissingMediaError, StoreError

Kind = Literal["damaged", "foreign", "identity", "stale", "orphaned", "leftover", "claim", "unknown", "older"]

MEANINGS: MappingProxyType[Kind, str] = MappingProxyType(
    {
        "damaged": "not a whole feature file, or not what its checksum says",
        "foreign": "of another clip or another extractor than its place says",
        "identity": "the folder's identity.json is missing or altered",
        "stale": "the clip's media file is another one now",
        "orphaned": "of a clip that is in none of the data sets given",
        "leftover": "a temporary file of a process that was killed",
        "claim": "the claim of a process that was killed",
        "unknown": "nothing that belongs into a feature folder",
        "older": "features of an earlier identity of the same config",
    }
)
"""What there is to find, and what each means."""

DAMAGE = frozenset[Kind]({"damaged", "foreign", "identity"})
"""Kinds that no sound store has."""

_NAMES = re.compile(
    r"identity\.json|config(-[0-9a-f]{12})?\.json|journal\.jsonl|failures\.csv|rates\.json|packed|\.claims|\..+\.tmp"
)


@dataclass(frozen=True)
class FeatureFinding:
    """One thing that is not as it should be, or that nothing needs.

    Attributes:
        folder: Name of the feature folder; empty for what lies beside the folders.
        file: Path in that folder; empty for the folder itself.
        kind: What it is, see :data:`MEANINGS`.
        size: Bytes that it takes.
        message: What is wrong, in a sentence.
    """

    folder: str
    file: str
    kind: Kind
    size: int
    message: str

    @property
    def clip_id(self) -> str:
        """The clip whose place the file has; empty for other files."""
        return self.file.removesuffix(SUFFIX) if self.file.endswith(SUFFIX) else ""


class GivenClips:
    """The clips of the data sets that features are compared with.

    Args:
        tables: The data sets.
    """

    def __init__(self, tables: Sequence[ClipTable]) -> None:
        self._tables = tables

    @cached_property
    def _sources(self) -> dict[str, list[dict[str, Source | None]]]:
        return {modality: [clip_sources(table, modality) for table in self._tables] for modality in ("visual", "audio")}

    def lacks(self, clip_id: str, folder: StoredFolder) -> bool:
        """Tell whether a clip is in none of the data sets that a folder's features may be of; False without any."""
        tables = self._tables
        if folder.imported:
            tables = [table for table in tables if table.name == folder.data_set]
        return bool(tables) and not any(clip_id in table for table in tables)

    def changed(self, clip_id: str, made_from: Source, folder: StoredFolder) -> bool:
        """Tell whether the clip's media file is there, and not the one that features were made from."""
        if folder.imported or folder.modality is None:
            return False
        sources = [sources[clip_id] for sources in self._sources[folder.modality] if clip_id in sources]
        return bool(sources) and not any(_is_source(source, made_from) for source in sources)


def _is_source(source: Source | None, made_from: Source) -> bool:
    if source is None:
        return True
    try:
        return stamp_source(source).looks_like(made_from) or identify_source(source).sha256 == made_from.sha256
    except MissingMediaError:  # features outlive their media
        return True
    except MediaError:
        return False


def check_file(folder: StoredFolder, path: Path, given: GivenClips) -> FeatureFinding | None:
    """Read one feature file and return what is wrong with it, or None.

    A file that is damaged or foreign is struck from the folder's journal, so that the next extraction makes it anew.
    """
    clip_id = path.name.removesuffix(SUFFIX)
    try:
        size = path.stat().st_size
        record = read_record(path)
    except FileNotFoundError:  # removed meanwhile
        return None
    except StoreError as error:
        if not path.exists():
            return None
        _distrust(folder, clip_id)
        return FeatureFinding(folder.path.name, path.name, "damaged", size, error.message)
    kind, message = _judge(folder, clip_id, record, given)
    if kind is None:
        return None
    if kind == "foreign":
        _distrust(folder, clip_id)
    return FeatureFinding(folder.path.name, path.name, kind, size, f"{path}: {message}")


def _judge(
    folder: StoredFolder, clip_id: str, record: FeatureSequence | CropSequence, given: GivenClips
) -> tuple[Kind, str] | tuple[None, str]:
    if record.clip_id != clip_id:
        return "foreign", f"holds clip '{record.clip_id}'"
    if not folder.matches(record.identity):
        return "foreign", f"was made by extractor {record.identity[:12]}"
    if given.lacks(clip_id, folder):
        return "orphaned", f"clip '{clip_id}' is in none of the data sets given"
    if given.changed(clip_id, record.source, folder):
        return "stale", f"was made from another '{record.source.name}' than the one there now"
    return None, ""


def _distrust(folder: StoredFolder, clip_id: str) -> None:
    with suppress(OSError):
        Journal(folder.path / "journal.jsonl").discard(clip_id)


def look_around(folder: StoredFolder) -> list[FeatureFinding]:
    """Return what is wrong with a feature folder beside its feature files."""
    found = []

    def note(file: str, kind: Kind, size: int, message: str) -> None:
        found.append(FeatureFinding(folder.path.name, file, kind, size, message))

    if folder.identity is None:
        note("identity.json", "identity", 0, f"{folder.path / 'identity.json'}: missing or altered")
    for path in folder.store.leftovers():
        note(path.name, "leftover", size_of(path), f"{path}: its writer was killed")
    for path in find_dead(folder.path / ".claims"):
        note(f".claims/{path.name}", "claim", size_of(path), f"{path}: its owner was killed")
    for path in sorted(folder.path.iterdir()):
        if not _NAMES.fullmatch(path.name) and (path.name.startswith(".") or path.suffix != SUFFIX):
            note(path.name, "unknown", size_of(path), f"{path}: does not belong here")
    return found


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; 0 where it has gone meanwhile."""
    try:
        if not path.is_dir():
            return path.lstat().st_size
        return sum(size_of(inner) for inner in path.iterdir())
    except FileNotFoundError:
        return 0


STAGING = ".import-"
"""How the folder begins that an import fills before anyone sees it."""

CLEARING = ".gc-"
"""How a feature folder is called while it is being removed."""


@dataclass(frozen=True)
class VerifyReport:
    """What verifying found.

    Attributes:
        folders: Names of the feature folders looked at.
        files: Feature files read.
        size: Their bytes.
        findings: What is not as it should be, by folder and file.
        seconds: Wall time.
    """

    folders: tuple[str, ...]
    files: int
    size: int
    findings: tuple[FeatureFinding, ...]
    seconds: float

    @property
    def damaged(self) -> tuple[FeatureFinding, ...]:
        """The findings that no sound store has; what else there is, is only not needed."""
        return tuple(finding for finding in self.findings if finding.kind in DAMAGE)

    @property
    def exit_code(self) -> int:
        """What the process should exit with: 1 where something is damaged, else 0."""
        return 1 if self.damaged else 0


def verify_features(
    features: Path,
    names: Sequence[str] = (),
    *,
    tables: Sequence[ClipTable] = (),
    threads: int = 4,
    on_progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Read every feature file of a store and say which are not what they should be.

    Nothing is changed, but that damaged files are struck from the journal: the next extraction makes them anew. A run
    that is at work meanwhile is not disturbed.

    Args:
        features: Folder of the store.
        names: Only these features, as ``eri features list`` calls them, with or without the digits.
        tables: Data sets to compare with: features of clips that are in none of them are orphaned, and features whose
            media file was replaced are stale. Of imported features, only tables of their own data set count.
        threads: How many files to read at once.
        on_progress: Called with the number of files read and of all.

    Raises:
        ConfigError: A name is of no features.
        StoreError: The store may not be read.
    """
    started = time.monotonic()
    with explained(features):
        folders = stored_folders(features, names)
        files = [(folder, path) for folder in folders for path in sorted(folder.path.glob(f"[!.]*{SUFFIX}"))]
        size = sum(size_of(path) for _, path in files)
        findings = _check_files(files, GivenClips(tables), threads, on_progress)
        for folder in folders:
            findings.extend(look_around(folder))
        if not names:
            findings.extend(_look_beside(features))
    findings.sort(key=lambda finding: (finding.folder, finding.file))
    names_seen = tuple(folder.path.name for folder in folders)
    return VerifyReport(names_seen, len(files), size, tuple(findings), time.monotonic() - started)


def _check_files(
    files: Sequence[tuple[StoredFolder, Path]],
    given: GivenClips,
    threads: int,
    on_progress: Callable[[int, int], None] | None,
) -> list[FeatureFinding]:
    findings = []
    pool = ThreadPoolExecutor(max(1, threads))
    try:
        checked = pool.map(lambda pair: check_file(pair[0], pair[1], given), files)
        for count, finding in enumerate(checked, start=1):
            if finding is not None:
                findings.append(finding)
            if on_progress is not None:
                on_progress(count, len(files))
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C does not wait for thousands of files
    return findings


def _look_beside(features: Path) -> list[FeatureFinding]:
    """Return the folders that killed imports and killed clearings left beside the feature folders."""
    left = list(features.glob(f"{CLEARING}*.tmp"))
    if not is_held(features / ".claims", ".import"):
        left += features.glob(f"{STAGING}*.tmp")
    return [
        FeatureFinding("", path.name, "leftover", size_of(path), f"{path}: its writer was killed")
        for path in sorted(left)
    ]
