"""A place to break extractions in: processes to kill, features to compare, and a count of what was done twice."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from eri.config import Runtime
from eri.extraction.report import ExtractionReport
from eri.extraction.run import extract
from eri.features.folder import FeatureFolder
from eri.features.format import read_record
from eri.features.store import find_folder
from eri.utils.errors import StoreError
from tests.factories.comparing import assert_nothing_left, assert_same_features
from tests.factories.extractors import fake_config, fake_extractors, fake_table, logged, read_fake_table
from tests.factories.processes import ROOT, alive, begin, wait_until

CLIPS = tuple(f"{number:05d}" for number in range(24))


class Scene:
    """A data set of text files, and the features that extractions make of it while they are disturbed.

    Attributes:
        root: A folder of its own.
        data: The data set's folder.
        features: Where the disturbed extractions put their features.
        log: A line of clip and process for every clip that any of them prepared.

    Args:
        root: A folder of its own.
        word: How the clips behave, see :mod:`tests.factories.extractors`.
    """

    def __init__(self, root: Path, word: str = "ok") -> None:
        self.root = root
        self.data = fake_table(root / "data", {clip_id: f"{word} {clip_id}" for clip_id in CLIPS}).root
        self.features = root / "features"
        self.log = root / "log"

    def start(self, *options: str, workers: int = 2, delay: float = 0.1) -> subprocess.Popen[str]:
        """Start an extraction as a process of its own, see :mod:`tests.factories.extraction_run`."""
        script = ROOT / "tests" / "factories" / "extraction_run.py"
        return begin(script, self.data, self.features, self.log, workers, delay, *options)

    def run(self, *, workers: int = 0, timeout: float = 60.0, features: Path | None = None) -> ExtractionReport:
        """Extract in this process."""
        log = self.log if features is None else None
        return extract(
            read_fake_table(self.data),
            [fake_config()],
            features or self.features,
            Runtime(workers=workers, timeout=timeout),
            create=fake_extractors(log),
        )

    def folder(self) -> FeatureFolder:
        """Return the feature folder."""
        return find_folder(self.features, fake_config())

    def prepared(self) -> Counter[str]:
        """Return how often each clip was prepared so far."""
        return Counter(logged(self.log))

    def workers(self) -> list[int]:
        """Return the processes that prepared clips, in the order of the log."""
        return [int(line.split()[1]) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def whole(self) -> set[str]:
        """Return the clips whose feature files prove themselves."""
        found = set()
        for path in self.features.glob("*/[!.]*.safetensors"):
            try:
                found.add(read_record(path).clip_id)
            except StoreError:
                continue
        return found

    def kill(self, process: subprocess.Popen[str]) -> None:
        """Kill a driver by SIGKILL and wait until its workers are gone."""
        process.send_signal(signal.SIGKILL)
        process.communicate()
        others = set(self.workers()) - {os.getpid()}
        wait_until(lambda: not any(alive(pid) for pid in others), seconds=20)

    def recover(self, again: Iterable[str], *, failing: Iterable[str] = ()) -> None:
        """Run again, undisturbed; fail unless that made what was missing, only that, and all is as it should be.

        Args:
            again: The clips that this run must prepare, each once.
            failing: Those of them that fail still.
        """
        before = self.prepared()
        report = self.run()
        assert self.prepared() - before == Counter(list(again))
        assert {failure.clip_id for failure in report.failures} == set(failing)
        assert report.exit_code == (3 if set(failing) else 0)
        self.compare(set(CLIPS) - set(failing))

    def compare(self, clip_ids: Iterable[str] = CLIPS) -> None:
        """Fail unless the features are those of an undisturbed run, byte for byte, with nothing left beside them."""
        calm = self.root / "calm"
        self.run(features=calm)
        assert_same_features(self.features, calm, clip_ids)
        assert_nothing_left(self.features)
