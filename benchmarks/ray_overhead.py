"""What Ray costs: extraction on a two-node cluster of one core each, against the local engine on the same two cores.

Each node is pinned to a core of its own, with all that it starts; the local engine may use both cores as it likes. What
counts is the steady state, from the first fifth of the clips to the last clip; what it takes until then, the start of
cluster, actors and workers included, stands in the note. Clips are short and the network is small: the shorter the work
on a clip, the more the way to it weighs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.extraction import Scale, make_clips
from benchmarks.harness import Bar, Row, run_apart
from eri.config import Runtime
from eri.config.tasks import ERI
from eri.data.clips import Clip, ClipTable
from eri.extraction.report import ExtractionEvent
from eri.extraction.run import EngineName, extract
from tests.factories.ray_cluster import RayCluster

CLIPS = 200
ROUNDS = 3
FILMED = Scale("resnet18", 112, clips=10, seconds=3.0, rate=25, width=640, height=480, frames=16)
QUICK = replace(FILMED, side=64, clips=2, seconds=0.5, rate=10, width=160, height=120, frames=2)


@dataclass(frozen=True)
class Course:
    """How an extraction went.

    Attributes:
        start: Seconds until a fifth of the clips was done.
        steady: Seconds from there to the end, for as many clips as there are in all.
    """

    start: float
    steady: float


def run(quick: bool) -> list[Row]:
    """Measure both engines in turns."""
    clips, scale, rounds = (10, QUICK, 1) if quick else (CLIPS, FILMED, ROUNDS)
    cores = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as name, RayCluster(nodes=0) as cluster, pinned(cores):
        root = Path(name)
        filmed = make_clips(root, scale)
        (root / "clips").mkdir()
        for number in range(clips):
            os.link(filmed.clips[number % scale.clips].video or root, root / "clips" / f"{number:04d}.mp4")
        begun = time.perf_counter()
        for core in (cores * 2)[:2]:
            with pinned([core]):
                cluster.add()
        started = time.perf_counter() - begun
        pairs = [(_measure(root, turn, cluster.address), _measure(root, turn, None)) for turn in range(rounds)]
    ours, theirs = ([pair[side] for pair in pairs] for side in (0, 1))
    note = (
        f"steady state; until a fifth was done {statistics.median(course.start for course in ours):.1f} s on Ray and "
        f"{statistics.median(course.start for course in theirs):.1f} s locally, after {started:.1f} s for the cluster "
        "to start"
    )
    name = f"{clips} clips on two Ray nodes of one core, against the local engine on both cores"
    steady, reference = (tuple(course.steady for course in side) for side in (ours, theirs))
    return [Row(name, steady, reference, "s", Bar("at_most", 1.15, of="growth"), note)]


@contextmanager
def pinned(cores: list[int]) -> Iterator[None]:
    """Keep this process and those that it starts on some cores, for the length of a block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _measure(root: Path, turn: int, address: str | None) -> Course:
    """Extract in a process of its own."""
    arguments = [str(root / "clips"), str(root / f"{'ray' if address else 'local'}{turn}")]
    return Course(**json.loads(run_apart("benchmarks.ray_overhead", *arguments, *([address] if address else []))))


def _extract(clips: Path, features: Path, address: str | None) -> Course:
    found = sorted(clips.glob("*.mp4"))
    table = ClipTable("ray", clips, ERI, tuple(Clip(path.stem, "train", video=path) for path in found))
    scale = FILMED if len(found) == CLIPS else QUICK
    config = scale.config()
    begun = time.perf_counter()
    done: list[float] = []

    def note(event: ExtractionEvent) -> None:
        if event.stage == "extract":
            done.append(time.perf_counter() - begun)

    engine: EngineName = "ray" if address else "local"
    runtime = Runtime(device="cpu", workers=1 if address else 2)
    report = extract(table, [config], features, runtime, engine=engine, address=address, on_event=note)
    assert report.extractors[0].computed == len(found), report
    fifth = len(found) // 5
    return Course(done[fifth - 1], (done[-1] - done[fifth - 1]) * len(found) / (len(found) - fifth))


def main() -> None:
    """Extract once and print the course as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("address", nargs="?")
    options = parser.parse_args()
    course = _extract(options.clips, options.features, options.address)
    print(json.dumps({"start": course.start, "steady": course.steady}))


if __name__ == "__main__":
    main()
