"""Cached face crops: pictures whose brightness or colour tells the labels, written through the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.config import CropsConfig, ExperimentConfig, parse_config
from eri.config.tasks import Task
from eri.data.clips import Clip, ClipTable, Split
from eri.features.crops import encode_image
from eri.features.folder import FeatureFolder
from eri.features.records import CropSequence
from eri.features.sources import Source
from eri.features.store import FeatureStore, remember_config
from eri.media.state import State
from tests.factories.expressions import expression
from tests.factories.features import TASK, DataSet
from tests.factories.videos import small_config

EXPRESSIONS = Task.of_classes("moves", ("up", "down", "left"))
NOBODY = Source("clip.mp4", size=1, mtime_ns=1, sha256="00")


def crop_sequence(pictures: NDArray[np.uint8], states: list[State] | None = None) -> CropSequence:
    """Return pictures, uint8 RGB (valid rows, side, side, 3), as cached crops, two a second."""
    codes = [encode_image(picture, 95) for picture in pictures]
    row_states = np.array(states if states is not None else [State.VALID] * len(codes), dtype=np.uint8)
    offsets = np.cumsum([0, *map(len, codes)]).astype(np.int64)
    joined = np.concatenate([np.zeros(0, dtype=np.uint8), *codes])
    return CropSequence(joined, offsets, np.arange(len(row_states)) / 2, row_states)


def crop_folder(root: Path, side: int = 32) -> FeatureFolder:
    """Return a new folder of crops."""
    return FeatureStore(root).folder("crops", {"family": "crops", "side": side})


def finetuned_config(**sections: Any) -> ExperimentConfig:
    """Return a system that trains a tiny backbone with a tiny LSTM."""
    values: dict[str, Any] = {
        "name": "small",
        "modality": "visual",
        "visual": {
            "extractor": "test_resnet",
            "weights": "random",
            "frames": 4,
            "input_size": 32,
            "faces": {"detector": "none"},
        },
        "model": {"name": "lstm", "hidden_size": 8, "dense": 8, "dropout": 0.0, "finetune": True},
        "training": {"epochs": 3, "batch_size": 4, "learning_rate": 0.01},
    }
    for section, changes in sections.items():
        values[section] = {**values[section], **changes} if isinstance(changes, dict) else changes
    return parse_config(values)


def coloured_pictures(labels: tuple[float, ...], rows: int, side: int, seed: int) -> NDArray[np.uint8]:
    """Return noisy pictures whose red, green and blue are the three labels, uint8 (rows, side, side, 3)."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, 12, size=(rows, side, side, 3))
    return np.clip(40 + 170 * np.array(labels[:3]) + noise, 0, 255).astype(np.uint8)


def make_crop_data_set(
    root: Path, config: ExperimentConfig, *, task: Task = TASK, train: int = 16, val: int = 8, test: int = 2
) -> DataSet:
    """Write a data set of three labels whose clips have crops only; one clip of train has no face at all."""
    generator = np.random.default_rng(0)
    extractor = config.extractors["visual"]
    side = int(getattr(extractor, "input_size"))  # noqa: B009  the union of extractors has it in one member only
    folder = crop_folder(root / "features", side)
    remember_config(folder, extractor)
    splits: list[Split] = [*["train"] * train, *["val"] * val, *["test"] * test]  # type: ignore[list-item]
    clips = []
    for number, split in enumerate(splits):
        labels = tuple(generator.random(len(task.labels)).tolist())
        clips.append(Clip(f"{number:05d}", split, labels=labels))
        states = [State.VALID, State.NO_FACE, State.VALID, State.VALID] if number else [State.NO_FACE] * 4
        pictures = coloured_pictures(labels, states.count(State.VALID), side, number)
        folder.write(clips[-1].id, crop_sequence(pictures, states), NOBODY)
    return DataSet(ClipTable("coloured", root, task, tuple(clips)), root / "features", config)


def video_config(name: str, task: Task = EXPRESSIONS, **sections: Any) -> ExperimentConfig:
    """Return a system whose model is a small video model, see :func:`~tests.factories.videos.small_config`."""
    model = small_config(name).model_dump(mode="json")
    values: dict[str, Any] = {
        "name": "small",
        "modality": "visual",
        "visual": {
            "extractor": "crops",
            "frames": max(int(model["frames"]), 8),
            "input_size": model["input_size"],
            "faces": {"detector": "none"},
        },
        "model": model,
        "training": {"epochs": 3, "batch_size": 4, "learning_rate": 0.003, "seed": 3},
    }
    for section, changes in sections.items():
        values[section] = {**values[section], **changes} if isinstance(changes, dict) else changes
    return parse_config(values)


def make_expression_crops(
    root: Path, config: ExperimentConfig, *, task: Task = EXPRESSIONS, train: int = 12, val: int = 6, test: int = 3
) -> DataSet:
    """Write cached crops of clips whose class is the way that something moves; a regression has its one-hot labels.

    The last clip of train is shorter than what is read of it.
    """
    extractor = config.extractors["visual"]
    assert isinstance(extractor, CropsConfig)
    folder = crop_folder(root / "features", extractor.input_size)
    remember_config(folder, extractor)
    splits: list[Split] = [*["train"] * train, *["val"] * val, *["test"] * test]  # type: ignore[list-item]
    clips = []
    for number, split in enumerate(splits):
        place = number % len(task.labels)
        labels = tuple(float(index == place) for index in range(len(task.labels)))
        clips.append(Clip(f"{number:05d}", split, labels=labels, group=f"s{number // len(task.labels)}"))
        paint = expression(place, len(task.labels), number, extractor.input_size)
        rows = 3 if number == train - 1 else extractor.frames
        pictures = np.stack([paint(row / max(rows - 1, 1)) for row in range(rows)])
        folder.write(clips[-1].id, crop_sequence(pictures), NOBODY)
    return DataSet(ClipTable("moving", root, task, tuple(clips)), root / "features", config)
