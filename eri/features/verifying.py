"""Verifying a feature store: every file is read and compared with its checksum, its identity, and the data."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from eri.data.clips import ClipTable
from eri.features.checking import DAMAGE, FeatureFinding, GivenClips, check_file, look_around, size_of
from eri.features.folders import StoredFolder, stored_folders
from eri.store.claims import is_held
from eri.store.folder import SUFFIX
from eri.store.problems import explained

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
        names: Only these features, as :func:`~eri.features.list_features` calls them, with or without the digits.
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
