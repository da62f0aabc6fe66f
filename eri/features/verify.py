"""Verifying a feature store, every file against its checksum, its identity and the data; and removing what may go."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import ValidationError

from eri.config import parse_extractor
from eri.data.clips import ClipTable
from eri.features.folder import SUFFIX, FeatureFolder, check_in_threads
from eri.features.format import read_record
from eri.features.locks import is_locked, remove_stale_locks, stale_locks, wait_for_lock
from eri.features.problems import explained
from eri.features.records import CropSequence, FeatureSequence
from eri.features.sources import Source, clip_sources, match_source
from eri.features.store import STAGING, Order, bare_name, modality_of, read_json, recorded_configs
from eri.storage import mirrored_url, parse_url
from eri.utils.errors import ConfigError, StoreError
from eri.utils.files import canonical_json, digest, hidden_beside

Kind = Literal["damaged", "foreign", "identity", "stale", "orphaned", "leftover", "lock", "unknown", "older"]

MEANINGS: MappingProxyType[Kind, str] = MappingProxyType(
    {
        "damaged": "not a whole feature file, or its content does not match its checksum",
        "foreign": "the file belongs to another clip or another extractor than its path says",
        "identity": "the folder's identity.json is missing or altered",
        "stale": "the clip's media file is another one now",
        "orphaned": "features of a clip that is in none of the data sets given",
        "leftover": "a temporary file of a process that was killed",
        "lock": "the lock file of a process that was killed",
        "unknown": "a file that does not belong in a feature folder",
        "older": "features of an earlier identity of the same config",
    }
)
"""What there is to find, and what each means."""

DAMAGE = frozenset[Kind]({"damaged", "foreign", "identity"})
"""Kinds that no intact store has."""

_REMOVABLE = frozenset[Kind]({"damaged", "foreign", "orphaned", "leftover", "lock"})
_CLEARING = ".gc-"
_FOLDER = re.compile(r".+-[0-9a-f]{12}")
_NAMES = re.compile(
    r"identity\.json|config(-[0-9a-f]{12})?\.json|order\.json|journal\.jsonl|failures\.csv|rates\.json|packed|\.claims"
    r"|\..+\.tmp"
)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FeatureFinding:
    """One thing that is not as it should be, or that nothing needs."""

    folder: str  # its name; empty for what lies beside the feature folders
    file: str  # path in that folder; empty for the folder itself
    kind: Kind  # see MEANINGS
    size: int  # bytes that it takes
    message: str  # what is wrong, in a sentence

    @property
    def clip_id(self) -> str:
        """The clip whose place the file has; empty for other files."""
        return self.file.removesuffix(SUFFIX) if self.file.endswith(SUFFIX) else ""


@dataclass(frozen=True)
class VerifyReport:
    """What verifying found: findings by folder and file, and how much was read in how many seconds."""

    folders: tuple[str, ...]
    files: int
    size: int  # bytes of these files
    findings: tuple[FeatureFinding, ...]
    seconds: float

    @property
    def damaged(self) -> tuple[FeatureFinding, ...]:
        """The findings that no intact store has; the others are only not needed."""
        return tuple(finding for finding in self.findings if finding.kind in DAMAGE)

    @property
    def exit_code(self) -> int:
        """What the process should exit with: 1 where something is damaged, else 0."""
        return 1 if self.damaged else 0


@dataclass(frozen=True)
class ClearingReport:
    """What may go from a feature store, and whether it was removed."""

    findings: tuple[FeatureFinding, ...]  # by folder and file
    held: tuple[FeatureFinding, ...]  # may go too, but a run was at work on it
    removed: bool  # False is a dry run
    seconds: float

    @property
    def size(self) -> int:
        """Bytes of the findings."""
        return sum(finding.size for finding in self.findings)


def verify_features(
    features: Path,
    names: Sequence[str] = (),
    *,
    tables: Sequence[ClipTable] = (),
    threads: int = 4,
    on_progress: Progress | None = None,
) -> VerifyReport:
    """Read every feature file of a store, or of the features named, and report those that are not what they should be.

    Features of clips that are in none of the tables are orphaned, and features whose media file was replaced are stale;
    of imported features, only tables of their own data set count. Nothing is changed, but that damaged files are
    removed from the index: the next extraction writes them again. A run that is at work meanwhile is not disturbed.
    """
    started = time.monotonic()
    with explained(features):
        folders = _stored_folders(features, names)
        files = [(folder, path) for folder in folders for path in sorted(folder.path.glob(f"[!.]*{SUFFIX}"))]
        size = sum(_size_of(path) for _, path in files)
        given, report = _GivenClips(tables), on_progress or (lambda *_: None)
        checked = check_in_threads(
            lambda pair: _check_file(*pair, given), files, threads, lambda count: report(count, len(files))
        )
        findings = [finding for finding in checked if finding is not None]
        for folder in folders:
            findings.extend(_check_others(folder))
        if not names:
            findings.extend(_check_beside(features))
    findings.sort(key=lambda finding: (finding.folder, finding.file))
    seen = tuple(folder.path.name for folder in folders)
    return VerifyReport(seen, len(files), size, tuple(findings), time.monotonic() - started)


def clear_features(
    features: Path,
    names: Sequence[str] = (),
    *,
    tables: Sequence[ClipTable] = (),
    older: bool = False,
    remove: bool = False,
    threads: int = 4,
    on_progress: Progress | None = None,
) -> ClearingReport:
    """Find what a feature store can do without, and remove it if asked to.

    That is: files that are damaged or foreign, what killed processes left, with ``tables`` the features of clips that
    are in none of them, and with ``older`` the folders of earlier identities of a config, which nothing finds any more.
    Imported features are never touched, nor those of a folder whose identity is altered, since they may be imported;
    nor what a run is at work on; nor any file that is whole and belongs where it is.
    """
    started = time.monotonic()
    report = verify_features(features, names, tables=tables, threads=threads, on_progress=on_progress)
    folders = {folder.path.name: folder for folder in _stored_folders(features, names)}
    outdated = _outdated(features, folders) if older else []
    whole = {finding.folder for finding in outdated}
    eligible = [
        finding
        for finding in report.findings
        if finding.kind in _REMOVABLE
        and finding.folder not in whole
        and not (finding.folder in folders and folders[finding.folder].imported)
    ]
    found, held = [*eligible, *outdated], list[FeatureFinding]()
    if remove:
        given = _GivenClips(tables)
        held = [finding for finding in found if not _remove(features, finding, folders, given)]
        found = [finding for finding in found if finding not in held]
    return ClearingReport(tuple(found), tuple(held), remove, time.monotonic() - started)


@dataclass(frozen=True)
class _StoredFolder:
    """One feature folder as it is found: its identity None where that is missing, altered, or of another folder.

    The configs that lead to it are canonical JSON texts. Imported features cannot be made again: so it counts as
    imported too where its identity is not known.
    """

    path: Path
    identity: dict[str, Any] | None
    configs: Mapping[str, Order]
    modality: Literal["visual", "audio"] | None

    @property
    def imported(self) -> bool:
        return self.identity is None or self.identity.get("extractor") == "imported"

    @cached_property
    def store(self) -> FeatureFolder:
        return FeatureFolder(self.path, digest(self.identity))

    def matches(self, identity: str) -> bool:
        if self.identity is None:
            return identity.startswith(self.path.name[-12:])
        return identity == self.store.digest


def _stored_folders(features: Path, names: Sequence[str] = ()) -> list[_StoredFolder]:
    """Return the feature folders of a store, by name; with names only those."""
    url = parse_url(features) or mirrored_url(features, "features")
    if url is not None:
        raise StoreError(
            f"{url}: features in an object store can be neither verified nor cleared up from here",
            hint="Each file is verified whenever it is read. To verify all, copy them to a folder and name that.",
        )
    paths = sorted(path for path in features.glob("[!.]*") if path.is_dir() and _FOLDER.fullmatch(path.name))

    def is_called(path: Path, name: str) -> bool:
        return name == path.name or name.lower() == bare_name(path.name).lower()

    for name in names:
        if not any(is_called(path, name) for path in paths):
            there = ", ".join(path.name for path in paths) or "none"
            raise ConfigError(f"{features}: no features '{name}'", hint=f"There are: {there}.")
    return [_open(path) for path in paths if not names or any(is_called(path, name) for name in names)]


def _open(path: Path) -> _StoredFolder:
    identity = read_json(path / "identity.json")
    fits = isinstance(identity, dict) and digest(identity)[:12] == path.name[-12:]
    recorded = list(recorded_configs(path).values())
    configs = {_canonical(values): order for values, order in recorded}
    modality = modality_of(recorded[0][0]) if recorded else None
    return _StoredFolder(path, identity if fits else None, configs, modality)


def _canonical(values: dict[str, Any]) -> str:
    """Return a config as one text, with settings that did not exist when it was recorded at their defaults."""
    try:
        return canonical_json(parse_extractor(values).model_dump(mode="json"))
    except ValidationError:  # of a version with other settings
        return canonical_json(values)


class _GivenClips:
    """The clips of the data sets that features are compared with."""

    def __init__(self, tables: Sequence[ClipTable]) -> None:
        self._tables = tables

    @cached_property
    def _sources(self) -> dict[str, list[dict[str, Source | None]]]:
        return {modality: [clip_sources(table, modality) for table in self._tables] for modality in ("visual", "audio")}

    def lacks(self, clip_id: str, folder: _StoredFolder) -> bool:
        """Tell whether a clip is in none of the data sets that a folder's features may be of; False without any."""
        tables = self._tables
        if folder.imported:
            data_set = None if folder.identity is None else folder.identity.get("data_set")
            tables = [table for table in tables if table.name == data_set]
        return bool(tables) and not any(clip_id in table for table in tables)

    def changed(self, clip_id: str, made_from: Source, folder: _StoredFolder) -> bool:
        """Tell whether the clip's media file is there, and not the one that features were made from."""
        if folder.imported or folder.modality is None:
            return False
        sources = [sources[clip_id] for sources in self._sources[folder.modality] if clip_id in sources]
        return bool(sources) and all(match_source(source, made_from) is None for source in sources)


def _check_file(folder: _StoredFolder, path: Path, given: _GivenClips) -> FeatureFinding | None:
    """Read one feature file and return what is wrong with it; a damaged or foreign one is removed from the index."""
    clip_id = path.name.removesuffix(SUFFIX)
    try:
        size = path.stat().st_size
        fault = _fault(folder, clip_id, read_record(path), given)
        if fault is None:
            return None
        kind, message = fault[0], f"{path}: {fault[1]}"
    except FileNotFoundError:  # removed meanwhile
        return None
    except StoreError as error:
        if not path.exists():
            return None
        kind, message = "damaged", error.message
    if kind in DAMAGE:
        with suppress(OSError):
            folder.store.index.remove(clip_id)
    return FeatureFinding(folder.path.name, path.name, kind, size, message)


def _fault(
    folder: _StoredFolder, clip_id: str, record: FeatureSequence | CropSequence, given: _GivenClips
) -> tuple[Kind, str] | None:
    if record.clip_id != clip_id:
        return "foreign", f"holds clip '{record.clip_id}'"
    if not folder.matches(record.identity):
        return "foreign", f"was made by extractor {record.identity[:12]}"
    if given.lacks(clip_id, folder):
        return "orphaned", f"clip '{clip_id}' is in none of the data sets given"
    if given.changed(clip_id, record.source, folder):
        return "stale", f"was made from another '{record.source.name}' than the one there now"
    return None


def _check_others(folder: _StoredFolder) -> list[FeatureFinding]:
    """Return what is wrong with a feature folder beside its feature files."""
    found: list[tuple[Path, Kind, str]] = []
    if folder.identity is None:
        found.append((folder.path / "identity.json", "identity", "missing or altered"))
    found += [(path, "leftover", "its writer was killed") for path in folder.store.leftovers()]
    found += [(path, "lock", "its owner was killed") for path in stale_locks(folder.store.locks)]
    found += [
        (path, "unknown", "does not belong here")
        for path in sorted(folder.path.iterdir())
        if not _NAMES.fullmatch(path.name) and (path.name.startswith(".") or path.suffix != SUFFIX)
    ]
    return [_finding(path, folder, kind, message) for path, kind, message in found]


def _check_beside(features: Path) -> list[FeatureFinding]:
    """Return the folders that killed imports and killed removals left beside the feature folders."""
    left = list(features.glob(f"{_CLEARING}*.tmp"))
    if not is_locked(features / ".claims", ".import"):
        left += features.glob(f"{STAGING}*.tmp")
    return [_finding(path, None, "leftover", "its writer was killed") for path in sorted(left)]


def _finding(path: Path, folder: _StoredFolder | None, kind: Kind, message: str) -> FeatureFinding:
    name, file = (folder.path.name, path.relative_to(folder.path).as_posix()) if folder else ("", path.name)
    size = 0 if kind == "identity" else _size_of(path)
    return FeatureFinding(name, "" if file == "." else file, kind, size, f"{path}: {message}")


def _size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; 0 where it has gone meanwhile."""
    try:
        return sum(map(_size_of, path.iterdir())) if path.is_dir() else path.lstat().st_size
    except FileNotFoundError:
        return 0


def _outdated(features: Path, chosen: Mapping[str, _StoredFolder]) -> list[FeatureFinding]:
    """Return the folders each of whose configs leads to a later folder; see :func:`eri.features.store.find_folder`."""
    folders = [folder for folder in _stored_folders(features) if not folder.imported]
    latest: dict[str, Order] = {}
    for folder in folders:
        for text, order in folder.configs.items():
            latest[text] = max(latest.get(text, order), order)
    found = []
    for folder in folders:
        followers = {latest[text][-1] for text in folder.configs}
        if folder.configs and folder.path.name in chosen and folder.path.name not in followers:
            message = f"the same config leads to {', '.join(sorted(followers))} now"
            found.append(_finding(folder.path, folder, "older", message))
    return found


def _remove(features: Path, finding: FeatureFinding, folders: Mapping[str, _StoredFolder], given: _GivenClips) -> bool:
    """Remove what was found; False where a run is at work on it."""
    path = features / finding.folder / finding.file
    with explained(path):
        if not finding.folder:
            with wait_for_lock(features / ".claims", "import"):
                shutil.rmtree(path, ignore_errors=True)
            return not path.exists()
        folder = folders[finding.folder]
        if finding.kind == "older":
            return _remove_folder(folder)
        if finding.kind == "lock":
            remove_stale_locks(folder.store.locks)
        elif finding.kind == "leftover":
            folder.store.sweep(path)
        elif (lock := folder.store.lock_clip(finding.clip_id)) is not None:
            with lock:
                # A run may have written the file again since it was checked.
                again = _check_file(folder, path, given)
                if again is not None and again.kind in _REMOVABLE:
                    path.unlink(missing_ok=True)
                    folder.store.index.remove(finding.clip_id)
    return not path.exists()


def _remove_folder(folder: _StoredFolder) -> bool:
    locks = folder.store.locks
    if len(stale_locks(locks)) < len(list(locks.glob("[!.]*.lock"))):
        return False
    # Out of sight in one step: a folder of which half is gone would be taken for one that is incomplete.
    hidden = hidden_beside(folder.path.with_name(f"{_CLEARING.removeprefix('.')}{folder.path.name}"))
    folder.path.replace(hidden)
    shutil.rmtree(hidden)
    return True
