"""How soon the command line answers, beside a Python that does nothing."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.harness import Bar, Row, alternate


def run(quick: bool) -> list[Row]:
    """Time ``eri --help`` with its files in the system's cache."""
    ours, reference = alternate(
        lambda: _start("from eri.cli import main; main(['--help'])"), lambda: _start("pass"), rounds=1 if quick else 15
    )
    return [
        Row("`eri --help`, warm", ours, reference, "s", Bar("at_most", 0.7, of="ours"), "reference: `python -c pass`")
    ]


def _start(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
