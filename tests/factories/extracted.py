"""Eight clips with features, for tests of looking after a store."""

from __future__ import annotations

from pathlib import Path

from eri.config import Runtime
from eri.data.clips import ClipTable
from eri.extraction.run import extract
from eri.features.folder import FeatureFolder
from eri.features.store import find_folder
from tests.factories.extractors import fake_config, fake_extractors, fake_table

CLIPS = {f"{number:03d}": f"ok {number}" for number in range(8)}


def extracted_table(root: Path) -> ClipTable:
    """Make the clips in `data` and their features in `features`."""
    made = fake_table(root / "data", CLIPS)
    extract(made, [fake_config()], root / "features", Runtime(workers=0), create=fake_extractors())
    return made


def folder_of(root: Path) -> FeatureFolder:
    return find_folder(root / "features", fake_config())
