"""How long an epoch of training takes, beside a bare loop over one tensor and beside a DataLoader over CSV files.

Ours is the loop behind ``eri train`` with all that it does: chunks read from the mapped file, standardisation, gradient
clipping, progress, saves. After every block of steps it waits, and the reference takes as many.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness import Bar, Row, peak_memory, run_apart, seconds_of
from benchmarks.training_reference import LABELS, CsvClips, TensorClips, bare_loop, item_by_item, write_csv_files
from eri.config import ExperimentConfig, parse_config
from eri.config.tasks import ERI
from eri.training.data import SplitData, TrainingInputs
from eri.training.events import TrainingEvent
from eri.training.features import FeatureSet, ModalityFeatures
from eri.training.learners import create_learner

BATCH = 64


@dataclass(frozen=True)
class Size:
    """How much there is to learn from: clips, their rows, the length of an embedding, steps from turn to turn."""

    clips: int
    rows: int
    dimension: int
    hidden: int
    block: int


FULL = Size(15_806, 32, 2048, 512, 64)
SMALL = Size(192, 4, 16, 8, 2)


@dataclass
class TakingTurns:
    """A listener that times blocks of steps, and after each has the reference take as many.

    Attributes:
        reference: Called with the number of steps.
        block: Steps from turn to turn; an epoch's end is a turn too.
        ours: Seconds of each block.
        theirs: Seconds of the reference's.
    """

    reference: Callable[[int], None]
    block: int
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    _since: float = 0.0
    _taken: int = 0

    def __call__(self, event: TrainingEvent) -> None:
        """Take note of an event."""
        if event.kind == "batch":
            self._taken += 1
            if self._taken < self.block and event.batch < event.batches:
                return
            self.ours.append(perf_counter() - self._since)
            self.theirs.append(seconds_of(lambda: self.reference(self._taken)))
            self._taken = 0
        self._since = perf_counter()


def run(quick: bool) -> list[Row]:
    """Measure both epochs."""
    return [*_large(SMALL if quick else FULL), *_baseline(128 if quick else 2000, epochs=1 if quick else 3)]


def _large(size: Size) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        write_random(Path(folder) / "embeddings.npy", (size.clips * size.rows, size.dimension))
        # Apart, so that its memory is its own.
        told = json.loads(run_apart("benchmarks.training", folder, json.dumps(asdict(size))))
    ours, theirs = told["ours"], told["theirs"]
    blocks = sorted(other / own for own, other in zip(ours, theirs, strict=True))
    name = f"epoch of LSTM-{size.hidden}, {size.clips} x {size.rows} x {size.dimension}, memory-mapped"
    spread = f"blocks of {size.block} steps: {blocks[0]:.2f} to {blocks[-1]:.2f}"
    return [
        Row(
            name,
            (sum(ours),),
            (sum(theirs),),
            "s",
            Bar("at_least", 0.7),
            f"reference: bare loop over one random tensor; {spread}",
        ),
        Row(f"{name}: peak memory", (told["memory"],), (), "MiB", Bar("at_most", 4096, of="ours")),
    ]


def _baseline(clips: int, epochs: int, rows: int = 32, dimension: int = 512) -> list[Row]:
    generator = np.random.default_rng(0)
    embeddings = generator.standard_normal((clips * rows, dimension), dtype=np.float32)
    labels = generator.random((clips, LABELS))
    inputs = make_inputs(make_config("baseline-lstm", epochs), embeddings, rows, labels)
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_csv_files(folder, np.split(embeddings, clips))
        for kind in (CsvClips, TensorClips):
            runs = folder / kind.__name__
            runs.mkdir()
            turns = TakingTurns(item_by_item(kind(paths, labels), dimension, BATCH), clips)
            create_learner(inputs.config.model).learn(inputs, runs, turns)
            found.append((tuple(turns.ours), tuple(turns.theirs)))
    name = f"epoch of the baseline LSTM, {clips} x {rows} x {dimension}"
    return [
        Row(name, *found[0], "s", Bar("at_least", 5.0), "reference: a CSV read for each item of a DataLoader"),
        Row(name, *found[1], "s", None, "reference: a DataLoader over single clips that are in memory"),
    ]


def write_random(path: Path, shape: tuple[int, int]) -> None:
    """Write a large array of random numbers block by block."""
    array = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    generator = np.random.default_rng(0)
    for start in range(0, len(array), 8192):
        block = array[start : start + 8192]
        generator.standard_normal(dtype=np.float32, out=block)
    array.flush()


def make_inputs(
    config: ExperimentConfig, embeddings: NDArray[np.float32], rows: int, labels: NDArray[np.float64]
) -> TrainingInputs:
    """Return what a learner is given: clips of equally many rows, the first of which serve as val too."""
    ids = tuple(f"{number:05d}" for number in range(len(labels)))
    states = np.zeros(len(embeddings), dtype=np.uint8)
    offsets = np.arange(len(ids) + 1, dtype=np.int64) * rows
    features = FeatureSet({"visual": ModalityFeatures.from_arrays(embeddings, offsets, states, ids)})

    def split(name: str, chosen: Sequence[str]) -> SplitData:
        usable = np.ones(len(chosen), dtype=np.bool_)
        return SplitData(
            "train" if name == "train" else "val", tuple(chosen), labels[: len(chosen)], features, usable, ()
        )

    return TrainingInputs(config, ERI, split("train", ids), split("val", ids[:BATCH]), torch.device("cpu"), "float32")


def make_config(model: str, epochs: int, **sizes: int) -> ExperimentConfig:
    """Return a system that reads visual embeddings."""
    return parse_config(
        {
            "name": "bench",
            "modality": "visual",
            "visual": {"extractor": "resnet18", "weights": "random"},
            "model": {"name": model, **sizes},
            "training": {"epochs": epochs, "patience": epochs, "batch_size": BATCH},
        }
    )


def main() -> None:
    """Measure the large epoch and print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("size", type=json.loads)
    options = parser.parse_args()
    size = Size(**options.size)
    embeddings = np.load(options.folder / "embeddings.npy", mmap_mode="r")
    labels = np.random.default_rng(1).random((size.clips, LABELS))
    inputs = make_inputs(make_config("lstm", 1, hidden_size=size.hidden), embeddings, size.rows, labels)
    turns = TakingTurns(bare_loop(BATCH, size.rows, size.dimension, size.hidden), size.block)
    create_learner(inputs.config.model).learn(inputs, options.folder, turns)
    print(json.dumps({"ours": turns.ours, "theirs": turns.theirs, "memory": peak_memory()}))


if __name__ == "__main__":
    main()
