"""What grows with the number of clips, and what must not: start-up, listing, resume check, packing, peak memory.

Listing to packing work on stubs, from a hundred clips to as many as Hume-Reaction has; each size in a process
of its own. The memory of an extraction is measured on short videos that are really decoded and embedded.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks.harness import Bar, Row, peak_memory, run_apart
from benchmarks.resume_check import CLIPS, fill
from tests.factories.challenge import make_entries, write_abaw5
from tests.factories.media import write_clip

SIZES = (100, 1000, 10_000, CLIPS)
EXTRACTED = (100, 1000)


def run(quick: bool) -> list[Row]:
    """Measure all sizes."""
    sizes, extracted = ((10,), (4, 8)) if quick else (SIZES, EXTRACTED)
    told = [_measure_apart("read", clips) for clips in sizes]
    units = {"peak memory": "MiB"}
    rows = [_series(what, sizes, [found[what] for found in told], units.get(what, "s")) for what in told[0]]
    few, many = (_measure_apart("extract", clips)["peak memory"] for clips in extracted)
    name = f"peak memory of extracting {extracted[1]:,} clips"
    note = f"reference: {extracted[0]:,} clips; this process and its largest worker"
    return [*rows, Row(name, (many,), (few,), "MiB", Bar("at_most", 1.1, of="growth"), note)]


def _series(what: str, sizes: Sequence[int], figures: Sequence[float], unit: str) -> Row:
    smaller = ", ".join(
        f"{figure:.3g} {unit} of {size:,}" for size, figure in zip(sizes[:-1], figures[:-1], strict=True)
    )
    return Row(f"{what}, {sizes[-1]:,} clips", (figures[-1],), (), unit, None, smaller)


def _measure_apart(kind: str, clips: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        if kind == "read":
            _write_stubs(root, clips)
        else:
            _write_videos(root, clips)
        figures: dict[str, float] = json.loads(run_apart("benchmarks.growth", kind, name))
    return figures


def _write_stubs(root: Path, clips: int) -> None:
    """Write a challenge folder of files that are no videos, with features of them all."""
    from eri.data import load_clips
    from eri.features.sources import clip_sources

    train = round(clips * 0.63)
    data = write_abaw5(
        root / "data", make_entries(train, clips - train - 1, 1), video=lambda path, _: _write(path, b"stub")
    )
    sources = clip_sources(load_clips(data), "visual").values()
    fill(root / "features", [source for source in sources if source is not None])


def _write_videos(root: Path, clips: int) -> None:
    content = write_clip(root / "clip.mp4", 0.4, size=(64, 64), audio=False).read_bytes()
    write_abaw5(root / "data", make_entries(clips - 2, 1, 1), video=lambda path, _: _write(path, content))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _read(root: Path) -> dict[str, float]:
    """Do what stands before each extraction and training, on stubs."""
    started = perf_counter()
    from eri.data import load_clips
    from eri.extraction.run import extract  # noqa: F401  what the command would import
    from eri.features.packing import pack
    from eri.features.sources import clip_sources
    from eri.features.store import FeatureStore

    imported = perf_counter()
    table = load_clips(root / "data")
    listed = perf_counter()
    sources = clip_sources(table, "visual")
    folder = FeatureStore(root / "features").folder("stub", {"rows": 4, "dimension": 16})
    assert not folder.take_inventory(sources, threads=2).incomplete
    confirmed = perf_counter()
    pack(folder, list(sources), sources=sources)
    packed = perf_counter()
    return {
        "start-up": imported - started,
        "listing": listed - imported,
        "resume check": confirmed - listed,
        "packing": packed - confirmed,
        "peak memory": peak_memory(),
    }


def _extract(root: Path) -> dict[str, float]:
    from eri.config import Runtime, parse_config
    from eri.data import load_clips
    from eri.extraction.run import extract

    visual = {
        "extractor": "resnet18",
        "weights": "random",
        "frames": 4,
        "input_size": 32,
        "faces": {"detector": "none"},
    }
    config = parse_config({"name": "bench", "modality": "visual", "visual": visual, "model": {"name": "lstm"}})
    table = load_clips(root / "data")
    report = extract(table, list(config.extractors.values()), root / "features", Runtime(device="cpu", workers=1))
    assert report.extractors[0].computed == len(table.clips), report
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"peak memory": peak_memory() + worker}


def main() -> None:
    """Measure one folder and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("read", "extract"))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    print(json.dumps({"read": _read, "extract": _extract}[options.kind](options.folder)))


if __name__ == "__main__":
    main()
