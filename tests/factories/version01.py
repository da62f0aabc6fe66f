"""A copy of what version 0.1 wrote: data, features, runs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from eri.data import load_clips
from eri.data.clips import ClipTable

FIXTURE = Path(__file__).parents[1] / "fixtures" / "v0.1"

RUNS = ("visual", "imported", "trees", "multimodal", "video")
"""Single runs."""

SELECTIONS = ("cv", "cv-trees", "ensemble", "ensemble-of-cvs")
"""Cross-validations and ensembles."""


@dataclass(frozen=True)
class Version01:
    """Folders that commands of today may read and write.

    Attributes:
        root: The folder; see ``tests/fixtures/v0.1/README.md``.
    """

    root: Path

    @classmethod
    def copy(cls, root: Path) -> Version01:
        """Copy the fixture to a folder that is not there yet."""
        shutil.copytree(FIXTURE, root)
        return cls(root)

    @property
    def manifest(self) -> Path:
        """The description of the data set."""
        return self.root / "data" / "moods.yaml"

    @property
    def table(self) -> ClipTable:
        """The clips."""
        return load_clips(self.manifest)

    @property
    def features(self) -> Path:
        """The feature cache."""
        return self.root / "features"

    @property
    def runs(self) -> Path:
        """The folder of run folders."""
        return self.root / "runs"
