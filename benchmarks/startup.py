"""How soon the command line answers, beside a Python that does nothing."""

from __future__ import annotations

import resource
import subprocess
import sys

from benchmarks.harness import Bar, Row, alternate

HELP = "from eri.cli.app import main; main(['--help'])"


def run(quick: bool) -> list[Row]:
    """Time ``eri --help`` with its files in the system's cache."""
    rounds = 1 if quick else 15
    ours, reference = alternate(lambda: _start(HELP), lambda: _start("pass"), rounds)
    computed = tuple(_computed(HELP) for _ in range(rounds))
    return [
        Row("`eri --help`, warm", ours, reference, "s", Bar("at_most", 0.7, of="ours"), "reference: `python -c pass`"),
        Row("`eri --help`, seconds of a core", computed, (), "s", None, "what it takes however busy the machine is"),
    ]


def _computed(program: str) -> float:
    """Return the seconds that a core works for a program."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _start(program)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _start(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)
