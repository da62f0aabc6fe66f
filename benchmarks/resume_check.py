"""How long it takes to confirm that a data set is complete, as every resumed extraction does first.

Feature files and sources are small stubs: confirming never opens them, so their size does not matter. A second figure
is for a lost journal, when each file is verified again; that one grows with the size of the files.

    python benchmarks/resume_check.py --clips 25067
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from eri.extractors.base import FeatureSequence
from eri.store import FeatureFolder, FeatureStore, Source, identify_source


def fill(root: Path, clips: int, rows: int, dimension: int) -> tuple[FeatureFolder, dict[str, Source | None]]:
    """Write stub sources and feature files."""
    folder = FeatureStore(root / "features").folder("stub", {"rows": rows, "dimension": dimension})
    media = root / "media"
    media.mkdir()
    states = np.zeros(rows, dtype=np.uint8)
    features = FeatureSequence(np.zeros((rows, dimension), dtype=np.float32), np.arange(rows, dtype=np.float64), states)
    sources: dict[str, Source | None] = {}
    for number in range(clips):
        source = Source(media / f"{number:05d}.mp4", f"{number:05d}.mp4")
        source.path.write_bytes(b"stub")
        sources[f"{number:05d}"] = source
        folder.write(f"{number:05d}", features, identify_source(source))
    return folder, sources


def seconds_to_confirm(folder: FeatureFolder, sources: dict[str, Source | None], threads: int) -> float:
    """Return how long one inventory takes; it must find everything complete."""
    started = time.perf_counter()
    inventory = folder.take_inventory(sources, threads=threads)
    elapsed = time.perf_counter() - started
    if inventory.incomplete:
        raise SystemExit(f"{len(inventory.incomplete)} clips were not confirmed")
    return elapsed


def main() -> None:
    """Fill a temporary folder, confirm it several times, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=25_067, help="clips of the data set (default: Hume-Reaction)")
    parser.add_argument("--rows", type=int, default=4, help="rows a clip")
    parser.add_argument("--dimension", type=int, default=16, help="length of an embedding")
    parser.add_argument("--threads", type=int, default=2, help="files to verify at once without a journal")
    parser.add_argument("--folder", type=Path, help="where the stubs go (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as root:
        started = time.perf_counter()
        folder, sources = fill(Path(root), options.clips, options.rows, options.dimension)
        written = time.perf_counter() - started
        first = seconds_to_confirm(folder, sources, options.threads)
        again = min(seconds_to_confirm(folder, sources, options.threads) for _ in range(3))
        (folder.path / "journal.jsonl").unlink()
        verified = seconds_to_confirm(folder, sources, options.threads)
    print(f"{'clips':>40} {options.clips:>10}")
    print(f"{'writing them, flushed to disk':>40} {written:>9.2f}s")
    print(f"{'confirming, first time':>40} {first:>9.2f}s")
    print(f"{'confirming, best of three':>40} {again:>9.2f}s")
    print(f"{'verifying all without a journal':>40} {verified:>9.2f}s")


if __name__ == "__main__":
    main()
