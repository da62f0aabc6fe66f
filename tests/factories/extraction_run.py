"""A process of its own that extracts fake features, for tests that kill, interrupt or double it.

Usage: python extraction_run.py DATA FEATURES LOG WORKERS DELAY [STALL | I/N | timeout=SECONDS | clock=SECONDS]

STALL makes one step endless once three feature files are there: ``flush`` stops before the fourth is renamed,
``journal`` before the third is added to the index. The file ``stalled`` beside the features then says so. I/N extracts
one shard; ``clock`` sets the time of day by so many seconds once three feature files are there. The report is printed
as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from eri.config import Runtime
from eri.extraction.report import Shard
from eri.extraction.run import extract
from eri.features.index import Entry, FeatureIndex
from tests.factories.extractors import fake_config, fake_extractors, read_fake_table


def stall(step: str, features: Path) -> None:
    """Make a step of writing a feature file last for ever."""
    flush, add = os.fsync, FeatureIndex.add

    def wait_for_the_end() -> None:
        if len(list(features.glob("*/*.safetensors"))) >= 3:
            (features.parent / "stalled").touch()
            time.sleep(600)

    def stalled_flush(descriptor: int) -> None:
        flush(descriptor)
        wait_for_the_end()

    def stalled_add(index: FeatureIndex, entry: Entry, version: str = "") -> None:
        wait_for_the_end()
        add(index, entry, version)

    if step == "flush":
        setattr(os, "fsync", stalled_flush)  # noqa: B010
    else:
        setattr(FeatureIndex, "add", stalled_add)  # noqa: B010


def set_clock(seconds: float, features: Path) -> None:
    """Set the time of day of this process, as an operator or a time server may, once three feature files are there."""
    genuine, genuine_ns = time.time, time.time_ns

    def offset() -> float:
        return seconds if len(list(features.glob("*/*.safetensors"))) >= 3 else 0.0

    setattr(time, "time", lambda: genuine() + offset())  # noqa: B010
    setattr(time, "time_ns", lambda: genuine_ns() + int(offset() * 1e9))  # noqa: B010


def main() -> None:
    data, features, log, workers, delay, *steps = sys.argv[1:]
    shard = next((Shard.parse(step) for step in steps if "/" in step), None)
    settings = {name: float(value) for name, _, value in (step.partition("=") for step in steps) if value}
    if "clock" in settings:
        set_clock(settings["clock"], Path(features))
    for step in steps:
        if step in ("flush", "journal"):
            stall(step, Path(features))
    report = extract(
        read_fake_table(Path(data)),
        [fake_config()],
        Path(features),
        Runtime(workers=int(workers), timeout=settings.get("timeout", 60.0)),
        shard=shard,
        create=fake_extractors(Path(log), float(delay)),
    )
    summary = report.extractors[0]
    counts = {"computed": summary.computed, "complete": summary.complete, "exit": report.exit_code}
    sys.stdout.write(json.dumps(counts))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may begin with it ignored
    main()
