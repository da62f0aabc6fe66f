"""A process of its own that extracts fake features on a Ray cluster, for tests that kill, interrupt or double it.

Usage: python ray_run.py DATA FEATURES LOG ADDRESS

The report is printed as JSON.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from eri.config import Runtime
from eri.extraction.run import extract
from tests.factories.extractors import fake_config, fake_extractors, read_fake_table


def main() -> None:
    data, features, log, address = sys.argv[1:]
    report = extract(
        read_fake_table(Path(data)),
        [fake_config()],
        Path(features),
        Runtime(workers=1, timeout=60),
        engine="ray",
        address=address,
        create=fake_extractors(Path(log), 0.1),
    )
    summary = report.extractors[0]
    sys.stdout.write(json.dumps({"computed": summary.computed, "complete": summary.complete, "exit": report.exit_code}))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may begin with it ignored
    main()
