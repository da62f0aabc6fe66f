"""Clearing up a feature store: what is damaged, left over or needed by nothing goes, after a look at it first."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eri.data.clips import ClipTable
from eri.features.index import Journal
from eri.features.listing import StoredFolder, stored_folders
from eri.features.locks import find_dead, sweep, wait_for
from eri.features.problems import explained
from eri.features.verify import CLEARING, FeatureFinding, GivenClips, Kind, check_file, size_of, verify_features

_FREED = frozenset[Kind]({"damaged", "foreign", "orphaned", "leftover", "claim"})


@dataclass(frozen=True)
class ClearingReport:
    """What clearing up found, and whether it was removed.

    Attributes:
        findings: What may go, by folder and file.
        held: What may go, but a run was at work on it.
        removed: Whether the findings were removed; False is a dry run.
        seconds: Wall time.
    """

    findings: tuple[FeatureFinding, ...]
    held: tuple[FeatureFinding, ...]
    removed: bool
    seconds: float

    @property
    def size(self) -> int:
        """Bytes of the findings."""
        return sum(finding.size for finding in self.findings)


def clear_features(
    features: Path,
    names: Sequence[str] = (),
    *,
    tables: Sequence[ClipTable] = (),
    older: bool = False,
    remove: bool = False,
    threads: int = 4,
    on_progress: Callable[[int, int], None] | None = None,
) -> ClearingReport:
    """Find what a feature store can do without, and remove it if asked to.

    That is: files that are damaged or foreign, what killed processes left, with ``tables`` the features of clips that
    are in none of them, and with ``older`` the folders of earlier identities of a config, which nothing finds any more.
    Imported features are never touched, nor those of a folder whose identity is altered, since they may be imported;
    nor what a run is at work on; nor any file that is whole and belongs where it is.

    Args:
        features: Folder of the store.
        names: Only these features, with or without the digits.
        tables: Every data set whose features the store holds; None finds no orphans.
        older: Whether earlier identities go too.
        remove: Whether to remove what is found; otherwise nothing is changed.
        threads: How many files to read at once.
        on_progress: Called with the number of files read and of all.

    Raises:
        ConfigError: A name is of no features.
        StoreError: The store may not be read, or not be written.
    """
    started = time.monotonic()
    report = verify_features(features, names, tables=tables, threads=threads, on_progress=on_progress)
    folders = {folder.path.name: folder for folder in stored_folders(features, names)}
    outdated = _outdated(features, folders) if older else []
    whole = {finding.folder for finding in outdated}
    eligible = [
        finding
        for finding in report.findings
        if finding.kind in _FREED
        and finding.folder not in whole
        and not (finding.folder in folders and folders[finding.folder].imported)
    ]
    found, held = [*eligible, *outdated], list[FeatureFinding]()
    if remove:
        given = GivenClips(tables)
        held = [finding for finding in found if not _remove(features, finding, folders, given)]
        found = [finding for finding in found if finding not in held]
    return ClearingReport(tuple(found), tuple(held), remove, time.monotonic() - started)


def _outdated(features: Path, chosen: dict[str, StoredFolder]) -> list[FeatureFinding]:
    """Return the folders each of whose configs leads to a later folder; see :func:`eri.features.store.find_folder`."""
    folders = [folder for folder in stored_folders(features) if not folder.imported]
    latest: dict[str, tuple[int, Path]] = {}
    for folder in folders:
        for text, when in folder.configs.items():
            latest[text] = max(latest.get(text, (0, folder.path)), (when, folder.path))
    found = []
    for folder in folders:
        followers = {latest[text][1].name for text in folder.configs}
        if folder.configs and folder.path.name in chosen and folder.path.name not in followers:
            message = f"{folder.path}: the same config leads to {', '.join(sorted(followers))} now"
            found.append(FeatureFinding(folder.path.name, "", "older", size_of(folder.path), message))
    return found


def _remove(features: Path, finding: FeatureFinding, folders: dict[str, StoredFolder], given: GivenClips) -> bool:
    """Remove what was found; False where a run is at work on it."""
    path = features / finding.folder / finding.file
    with explained(path):
        if not finding.folder:
            return _remove_beside(features, path)
        folder = folders[finding.folder]
        if finding.kind == "older":
            return _remove_folder(folder)
        if finding.kind == "claim":
            sweep(folder.path / ".claims")
        elif finding.kind == "leftover":
            folder.store.sweep(path)
        else:
            return _remove_file(folder, finding, path, given)
    return not path.exists()


def _remove_file(folder: StoredFolder, finding: FeatureFinding, path: Path, given: GivenClips) -> bool:
    claim = folder.store.claim(finding.clip_id)
    if claim is None:
        return False
    with claim:
        # A run may have made the file anew since it was looked at.
        again = check_file(folder, path, given)
        if again is not None and again.kind in _FREED:
            path.unlink(missing_ok=True)
            Journal(folder.path / "journal.jsonl").discard(finding.clip_id)
    return not path.exists()


def _remove_folder(folder: StoredFolder) -> bool:
    claims = folder.path / ".claims"
    if len(find_dead(claims)) < len(list(claims.glob("[!.]*.lock"))):
        return False
    # Out of sight in one step: a folder of which half is gone would be taken for one that is incomplete.
    hidden = folder.path.with_name(f"{CLEARING}{folder.path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    folder.path.replace(hidden)
    shutil.rmtree(hidden)
    return True


def _remove_beside(features: Path, path: Path) -> bool:
    with wait_for(features / ".claims", "import"):
        shutil.rmtree(path, ignore_errors=True)
    return not path.exists()
