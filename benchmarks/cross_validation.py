"""How long a cross-validation takes with one model at a time, and with models side by side in several processes.

Features and labels are random: the time does not depend on what they say. Early stopping is switched off, so that both
do the same work. ``--profile`` shows where one training step spends its time instead.

    python benchmarks/cross_validation.py --clips 2000 --epochs 3 --folds 5 --seeds 5 --workers 2
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from eri.config import ExperimentConfig, Runtime, parse_config
from eri.config.tasks import ERI
from eri.data.clips import Clip, ClipTable
from eri.evaluation.cross_validation import cv
from eri.evaluation.folds import FoldPlan
from eri.features.records import FeatureSequence
from eri.features.sources import Source
from eri.features.store import FeatureStore, remember_config
from eri.models import Regressor, Sequences

ROWS, DIMENSION, BATCH = 32, 512, 64


def make_config(epochs: int) -> ExperimentConfig:
    """Return the LSTM of the paper on visual features."""
    training = {"epochs": epochs, "patience": epochs, "batch_size": BATCH}
    visual = {"extractor": "resnet18", "weights": "random"}
    return parse_config(
        {"name": "bench", "modality": "visual", "visual": visual, "model": {"name": "lstm"}, "training": training}
    )


def fill(root: Path, clips: int, config: ExperimentConfig) -> ClipTable:
    """Write random features and return their clips."""
    generator = np.random.default_rng(0)
    folder = FeatureStore(root / "features").folder("bench", {"rows": ROWS, "dimension": DIMENSION})
    for extractor in config.extractors.values():
        remember_config(folder, extractor)
    made = []
    for number in range(clips):
        made.append(Clip(f"{number:05d}", "train", labels=tuple(generator.random(len(ERI.labels)).tolist())))
        rows = generator.normal(size=(ROWS, DIMENSION)).astype(np.float32)
        features = FeatureSequence(rows, np.arange(float(ROWS)), np.zeros(ROWS, dtype=np.uint8))
        folder.write(made[-1].id, features, Source(f"{number}.mp4", size=1, mtime_ns=1, sha256="00"))
    return ClipTable("bench", root, ERI, tuple(made))


def profile() -> None:
    """Print the operations of a training step by the time that they take themselves, and the rate of arithmetic."""
    model = Regressor(make_config(1).model, {"visual": DIMENSION}, ERI)
    optimizer = torch.optim.Adam(model.parameters())
    clips = Sequences(torch.randn(BATCH, ROWS, DIMENSION), torch.ones(BATCH, ROWS, dtype=torch.bool))
    labels = torch.rand(BATCH, len(ERI.labels))

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model({"visual": clips}), labels).backward()
        optimizer.step()

    step()
    started = time.process_time()
    for _ in range(10):
        step()
    seconds = (time.process_time() - started) / 10
    operations = 3 * 2 * BATCH * ROWS * (DIMENSION + 512) * 4 * 512  # forward once, backward twice; 512 hidden units
    print(f"{seconds:.3f} s of a core a step, {operations / seconds / 1e9:.0f} GFLOP/s a core")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as record:
        step()
    print(record.key_averages().table(sort_by="self_cpu_time_total", row_limit=8))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("clips", 2000), ("epochs", 3), ("folds", 5), ("seeds", 5), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.profile:
        profile()
        return
    config = make_config(options.epochs)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        table = fill(root, options.clips, config)
        for workers in (1, options.workers):
            started = time.perf_counter()
            cv(
                config,
                table,
                root / "features",
                root / f"runs{workers}",
                Runtime(device=options.device, workers=workers),
                plan=FoldPlan(folds=options.folds),
                seeds=range(options.seeds),
                bootstrap=0,
            )
            seconds = time.perf_counter() - started
            print(f"{workers} at a time, {torch.get_num_threads()} threads in all: {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
