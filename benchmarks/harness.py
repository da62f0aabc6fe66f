"""What a benchmark is made of: work and its reference timed in turns, bars, and a Markdown table of what came out."""

from __future__ import annotations

import datetime
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_COLUMNS = ("what", "ours, median (range)", "reference, median (range)", "unit", "ratio (range)", "bar", "met", "note")


@dataclass(frozen=True)
class Bar:
    """What a row must reach.

    Attributes:
        kind: ``at_least`` or ``at_most``.
        value: The limit.
        of: ``ratio`` is reference by ours, so of times how often faster ours is; ``growth`` is ours by reference;
            ``ours`` is the median itself.

    Examples:
        >>> row = Row("sorting", (2.0, 4.0, 3.0), (9.0, 9.0, 9.0), "s", Bar("at_least", 2.5))
        >>> row.ratio, row.met, str(row.bar)
        (3.0, True, 'ratio ≥ 2.5')
    """

    kind: Literal["at_least", "at_most"]
    value: float
    of: Literal["ratio", "growth", "ours"] = "ratio"

    def __str__(self) -> str:
        sign = "≥" if self.kind == "at_least" else "≤"
        named = {"ratio": "ratio ", "growth": "ours / reference ", "ours": ""}[self.of]
        return f"{named}{sign} {self.value:g}"

    def met(self, row: Row) -> bool:
        """Return whether a row reaches it."""
        figure = row.median if self.of == "ours" else row.ratio if self.of == "ratio" else 1 / row.ratio
        return figure >= self.value if self.kind == "at_least" else figure <= self.value


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: What was measured.
        ours: A figure for each round.
        reference: The same for the reference, in the rounds of ``ours``; empty where there is none.
        unit: Of both.
        bar: What must be reached; None for a row that only informs.
        note: What bounds it, or anything else worth reading beside it.
    """

    name: str
    ours: tuple[float, ...]
    reference: tuple[float, ...]
    unit: str
    bar: Bar | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """Median of ours."""
        return statistics.median(self.ours)

    @property
    def ratios(self) -> tuple[float, ...]:
        """Reference by ours, round by round: what slows the machine for a while slows both of a round.

        Where the rounds do not pair, the ratio of the medians alone.
        """
        if not self.reference:
            return ()
        if len(self.reference) != len(self.ours):
            return (statistics.median(self.reference) / self.median,)
        return tuple(theirs / own for theirs, own in zip(self.reference, self.ours, strict=True))

    @property
    def ratio(self) -> float:
        """Median of :attr:`ratios`; not a number where there is no reference."""
        return statistics.median(self.ratios) if self.reference else float("nan")

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; None where there is none."""
        return None if self.bar is None else self.bar.met(self)

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row, in the order of the table's columns."""
        digits = 4 if self.unit else 6  # what has no unit is often close to 1
        return (
            self.name,
            _spread(self.ours, digits),
            _spread(self.reference, digits),
            self.unit,
            _spread(self.ratios),
            "" if self.bar is None else str(self.bar),
            {None: "", True: "yes", False: "**no**"}[self.met],
            self.note,
        )


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def alternate(
    ours: Callable[[], object], reference: Callable[[], object], rounds: int, warm_up: int = 1
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Time two pieces of work in turns, so that whatever else the machine does disturbs both alike.

    Args:
        ours: The first.
        reference: The second.
        rounds: How often each is timed.
        warm_up: How often each runs before that, untimed.

    Returns:
        Seconds of ours and of the reference, (rounds,) each.
    """
    for _ in range(warm_up):
        ours()
        reference()
    pairs = [(seconds_of(ours), seconds_of(reference)) for _ in range(rounds)]
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def alternate_figures(
    ours: Callable[[], float], reference: Callable[[], float], rounds: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Collect in turns what two pieces of work measure of themselves, as :func:`alternate` does seconds."""
    pairs = [(ours(), reference()) for _ in range(rounds)]
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def peak_memory() -> float:
    """Return the most memory that this process has had resident so far, mapped files included, in MiB."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
    # Not getrusage: there a new process begins with the peak of the one that started it.
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def run_apart(module: str, *arguments: str) -> str:
    """Run ``python -m module arguments`` as a process of its own and return what it prints.

    Raises:
        RuntimeError: It fails; the message holds what it said.
    """
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout


def table(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    lines += ["| " + " | ".join(cell.replace("|", "/") for cell in row.cells()) + " |" for row in rows]
    return "\n".join(lines)


def report(rows: Sequence[Row], loads: Sequence[str], *, quick: bool = False) -> str:
    """Return the page of a run: when, which commit, which machine, and the table.

    Args:
        rows: All that was measured.
        loads: How busy the machine was before each benchmark, as text.
        quick: Whether the sizes were too small for the figures to mean anything.
    """
    now = datetime.datetime.now(datetime.UTC)
    lines = [f"# Benchmarks of {now:%Y-%m-%d}, commit {commit()}", ""]
    if quick:
        lines += ["Small sizes (`--quick`): this shows that the benchmarks run; the figures mean nothing.", ""]
    lines += [f"* {name}: {value}" for name, value in describe_machine().items()]
    lines += [f"* load of the machine (mean of a minute) before each: {', '.join(loads)}", ""]
    lines += [
        "Ours and the reference run in turns in one process-run. A ratio is reference by ours, the median over rounds; "
        "of times, how often faster ours is.",
        "",
        table(rows),
        "",
    ]
    return "\n".join(lines)


def commit() -> str:
    """Return the short hash of the commit that is checked out, marked where files differ from it."""
    root = Path(__file__).resolve().parents[1]
    try:
        found = _git(root, "rev-parse", "--short=10", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "eri", "benchmarks")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{found}-changed" if changed else found


def describe_machine() -> dict[str, str]:
    """Return what the figures depend on: processor, memory, GPU, versions and threads."""
    import torch  # not above: worker processes import the main module, and their start is part of what is measured

    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cuda = torch.cuda.is_available()
    return {
        "processor": f"{_processor()}, {os.cpu_count()} logical cores, {torch.backends.cpu.get_cpu_capability()}",
        "memory": f"{gigabytes:.0f} GiB",
        "GPU": torch.cuda.get_device_name() if cuda else "none",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
    }


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _spread(values: Sequence[float], digits: int = 3) -> str:
    if not values:
        return ""
    middle, low, high = (f"{value:.{digits}g}" for value in (statistics.median(values), min(values), max(values)))
    return middle if len(values) == 1 else f"{middle} ({low} to {high})"
