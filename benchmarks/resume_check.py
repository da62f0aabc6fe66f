"""How long it takes to confirm that a data set is complete, as every resumed extraction does first.

Feature files and sources are small stubs: confirming never opens them, so their size does not matter. A second figure
is for a lost journal, when each feature file is verified again; that one grows with the size of the files.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.harness import Bar, Row, alternate
from eri.features.folder import FeatureFolder
from eri.features.records import FeatureSequence
from eri.features.sources import Source, identify_source
from eri.features.store import FeatureStore

CLIPS = 25_067
"""Those of Hume-Reaction."""


def run(quick: bool) -> list[Row]:
    """Confirm stubs with the journal and, as the reference, without it."""
    clips = 50 if quick else CLIPS
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "media").mkdir()
        sources = [Source(f"{number:05d}.mp4", root / "media" / f"{number:05d}.mp4") for number in range(clips)]
        for source in sources:
            source.path.write_bytes(b"stub")
        folder = fill(root / "features", sources)
        wanted: dict[str, Source | None] = {source.path.stem: source for source in sources}

        def confirm() -> None:
            incomplete = folder.take_inventory(wanted, threads=2).incomplete
            assert not incomplete, f"{len(incomplete)} clips were not confirmed"

        def verify() -> None:
            (folder.path / "journal.jsonl").unlink()
            confirm()

        ours, reference = alternate(confirm, verify, rounds=1 if quick else 3)
    note = "no media opened; reference: the same without the journal, every feature file read and verified"
    return [Row(f"resume check of {clips:,} complete clips", ours, reference, "s", Bar("at_most", 10, of="ours"), note)]


def fill(root: Path, sources: Sequence[Source], rows: int = 4, dimension: int = 16) -> FeatureFolder:
    """Write small features of sources, without waiting for the disk."""
    folder = FeatureStore(root).folder("stub", {"rows": rows, "dimension": dimension})
    states = np.zeros(rows, dtype=np.uint8)
    features = FeatureSequence(np.zeros((rows, dimension), dtype=np.float32), np.arange(rows, dtype=np.float64), states)
    with patch.object(os, "fsync"):
        for source in sources:
            folder.write(source.path.stem, features, identify_source(source))
    return folder
