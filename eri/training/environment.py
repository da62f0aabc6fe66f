"""Where and on what a run was made: what ``environment.json`` holds."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from eri.config import ExperimentConfig
from eri.data.clips import ClipTable
from eri.features.folder import FeatureFolder
from eri.training.data import SplitData, label_means
from eri.training.features import describe

_PACKAGES = (
    "eri",
    "lightgbm",
    "lightning-fabric",
    "numpy",
    "pandas",
    "safetensors",
    "scipy",
    "timm",
    "torch",
    "transformers",
)


def describe_run(
    config: ExperimentConfig,
    table: ClipTable,
    folders: Mapping[str, FeatureFolder],
    versions: Mapping[str, Sequence[FeatureFolder]],
    train: SplitData,
    val: SplitData,
    *,
    device: torch.device,
    precision: str,
) -> dict[str, Any]:
    """Gather what is needed to repeat a run and to judge new data against it, as JSON values."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": config.training.seed,
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
        },
        "precision": precision,
        "data": {
            "name": table.name,
            "fingerprint": table.fingerprint,
            "task": {**asdict(table.task), "labels": list(table.task.labels)},
        },
        "features": {name: describe(folder) for name, folder in folders.items()},
        "drawn": {name: [describe(folder) for folder in drawn] for name, drawn in versions.items()},
        "dimensions": train.features.dimensions,
        "clips": {"train": train.summary(), "val": val.summary()},
        "lacking": _lacking(train),
        "train_label_means": label_means(train, table.task.labels),
    }


def _lacking(train: SplitData) -> dict[str, int]:
    """Count the train clips without a valid row, by modality: what a model learnt to do without."""
    ids = train.usable_ids
    return {name: int((source.counts(ids) == 0).sum()) for name, source in train.features.sources.items()}


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
