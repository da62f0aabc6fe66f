"""Run the benchmarks that have a bar, and write what they measured as a dated table.

python -m benchmarks                      # all; benchmarks/results/<date>-<commit>.md
python -m benchmarks startup training     # some
python -m benchmarks --quick              # small sizes: shows only that everything runs
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
from pathlib import Path

from benchmarks.harness import Row, commit, report

BENCHMARKS = {
    "extraction": "benchmarks.extraction",
    "compiling": "benchmarks.compiling",
    "startup": "benchmarks.startup",
    "training": "benchmarks.training",
    "audio": "benchmarks.audio",
    "resume-check": "benchmarks.resume_check",
    "growth": "benchmarks.growth",
    "submission": "benchmarks.submission",
    "ray-overhead": "benchmarks.ray_overhead",
    "plan": "benchmarks.plan",
}
"""Each benchmark and its module, which has ``run(quick: bool) -> list[Row]``."""


def run(name: str, *, quick: bool) -> list[Row]:
    """Run one benchmark."""
    rows: list[Row] = importlib.import_module(BENCHMARKS[name]).run(quick=quick)
    return rows


def main() -> None:
    """Measure, print and write; the file is rewritten after each benchmark, so that a break loses one at most."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes; nothing is written without --output")
    parser.add_argument("--output", type=Path, help="file to write")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark is called {' or '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    output = options.output
    if output is None and not options.quick:
        name = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}-{commit()}.md"
        output = Path(__file__).parent / "results" / name
    rows: list[Row] = []
    loads: list[str] = []
    for name in options.names or BENCHMARKS:
        loads.append(f"{name} {os.getloadavg()[0]:.1f}")
        print(f"{name} ...", flush=True)
        for row in run(name, quick=options.quick):
            rows.append(row)
            print("  " + " | ".join(cell for cell in row.cells() if cell), flush=True)
        if output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(report(rows, loads, quick=options.quick), encoding="utf-8")
    print("\n" + report(rows, loads, quick=options.quick))


if __name__ == "__main__":
    main()
