"""Data sets whose features carry a known signal, written through the feature store."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eri.config import ExperimentConfig, parse_config
from eri.config.tasks import Task
from eri.data.clips import Clip, ClipTable, Split
from eri.features.records import FeatureSequence
from eri.features.sources import Source
from eri.features.store import FeatureStore, remember_config
from eri.media.state import State

TASK = Task("three", ("Adoration", "Disgust", "Empathic-Pain"))
SIZES: Mapping[Split, int] = {"train": 60, "val": 40, "test": 10}


@dataclass(frozen=True)
class Recipe:
    """What a data set is like.

    Attributes:
        sizes: Clips of each split.
        modalities: Which of ``visual`` and ``audio`` have features.
        noise: Deviation of the noise on every feature; the signal's is about 1.
        rows: Longest clip; lengths vary from 1.
        dimension: Length of an embedding.
        labelled: Splits whose clips have labels.
        absent: Clips without a feature file, by modality.
        masked: Clips whose every row is masked, by modality.
        seed: Of labels, lengths and noise.
        model: The head; None is a small LSTM.
        classes: Names of the classes of a classification; none is a regression of :data:`TASK`.
        subjects: People that the clips are of in turn; 0 leaves them unnamed.
    """

    sizes: Mapping[Split, int] = field(default_factory=lambda: dict(SIZES))
    modalities: tuple[str, ...] = ("visual",)
    noise: float = 0.3
    rows: int = 8
    dimension: int = 12
    labelled: Collection[Split] = ("train", "val")
    absent: Mapping[str, Collection[str]] = field(default_factory=dict)
    masked: Mapping[str, Collection[str]] = field(default_factory=dict)
    seed: int = 0
    model: Mapping[str, Any] | None = None
    classes: tuple[str, ...] = ()
    subjects: int = 0

    @property
    def task(self) -> Task:
        """What the data set asks for."""
        return Task.of_classes("moods", self.classes) if self.classes else TASK


@dataclass(frozen=True, eq=False)
class DataSet:
    """A clip table, its feature store, and a config that trains on it.

    Attributes:
        table: The clips; none of them has media.
        features: Folder of the store.
        config: A small head that learns the signal in a few epochs.
    """

    table: ClipTable
    features: Path
    config: ExperimentConfig

    def configured(self, **training: Any) -> ExperimentConfig:
        """Return the config with other training settings."""
        values = self.config.model_dump(mode="json")
        values["training"].update(training)
        return parse_config(values)


def make_data_set(root: Path, recipe: Recipe = Recipe()) -> DataSet:
    """Write a data set under ``root``.

    Every valid row of a clip is a fixed linear map of the clip's labels plus noise; masked rows hold large garbage.
    """
    generator = np.random.default_rng(recipe.seed)
    table = make_table(root, recipe, generator)
    config = make_config(recipe)
    truth = {clip.id: draw_labels(recipe, generator) if clip.labels is None else clip.labels for clip in table}
    for modality, extractor in config.extractors.items():
        identity = {"extractor": extractor.extractor, "dimension": recipe.dimension, "seed": recipe.seed}
        folder = FeatureStore(root / "features").folder(extractor.extractor, identity)
        remember_config(folder, extractor)
        loadings = generator.normal(size=(len(recipe.task.labels), recipe.dimension))
        for clip in table:
            rows = make_rows(np.asarray(truth[clip.id]), loadings, recipe, generator)
            if clip.id in recipe.masked.get(modality, ()):
                rows.states[:] = State.NO_FACE if modality == "visual" else State.NO_AUDIO
            if clip.id not in recipe.absent.get(modality, ()):
                folder.write(clip.id, rows, Source(f"{clip.id}.mp4", size=1, mtime_ns=1, sha256="00"))
    return DataSet(table, root / "features", config)


def read_data_set(root: Path, recipe: Recipe = Recipe()) -> DataSet:
    """Return the data set that :func:`make_data_set` wrote there, perhaps in another process."""
    table = make_table(root, recipe, np.random.default_rng(recipe.seed))
    return DataSet(table, root / "features", make_config(recipe))


def make_table(root: Path, recipe: Recipe, generator: np.random.Generator) -> ClipTable:
    """Make clips with ascending ids, train before val before test."""
    splits = [split for split, size in recipe.sizes.items() for _ in range(size)]
    clips = []
    for number, split in enumerate(splits):
        labels = draw_labels(recipe, generator)
        group = f"s{number % recipe.subjects}" if recipe.subjects else None
        clips.append(Clip(f"{number:05d}", split, labels=labels if split in recipe.labelled else None, group=group))
    return ClipTable("synthetic", root, recipe.task, tuple(clips))


def draw_labels(recipe: Recipe, generator: np.random.Generator) -> tuple[float, ...]:
    """Draw the intensities of a clip, or its class, the first classes more often than the last."""
    if not recipe.classes:
        return tuple(generator.random(len(TASK.labels)).round(4).tolist())
    shares = np.arange(len(recipe.classes), 0, -1, dtype=np.float64)
    chosen = int(generator.choice(len(recipe.classes), p=shares / shares.sum()))
    return tuple(float(index == chosen) for index in range(len(recipe.classes)))


def make_rows(
    truth: np.ndarray[Any, np.dtype[np.float64]],
    loadings: np.ndarray[Any, np.dtype[np.float64]],
    recipe: Recipe,
    generator: np.random.Generator,
) -> FeatureSequence:
    """Make the features of one clip, a few of its rows masked."""
    count = int(generator.integers(1, recipe.rows + 1))
    signal = 3.0 * (truth - 0.5) @ loadings + 5.0
    values = signal + recipe.noise * generator.normal(size=(count, recipe.dimension))
    states = np.where(generator.random(count) < 0.2, State.NO_FACE, State.VALID).astype(np.uint8)
    states[generator.integers(count)] = State.VALID
    values[states != State.VALID] = 1e6
    return FeatureSequence(values.astype(np.float32), np.arange(count, dtype=np.float64), states)


def make_config(recipe: Recipe = Recipe()) -> ExperimentConfig:
    """Make a small system for the recipe's modalities."""
    both = len(recipe.modalities) == 2
    values: dict[str, Any] = {
        "name": "tiny",
        "modality": "multimodal" if both else recipe.modalities[0],
        "model": {"name": "fusion-lstm", "hidden_size": 16, "dense": 16, "joint": 16, "dropout": 0.1}
        if both
        else {"name": "lstm", "hidden_size": 16, "dense": 16, "dropout": 0.1},
        "training": {"epochs": 12, "batch_size": 16, "learning_rate": 0.01, "seed": 3},
    }
    if recipe.model is not None:
        values["model"] = dict(recipe.model)
    sections = {"visual": {"extractor": "resnet18", "weights": "random"}, "audio": {"extractor": "deepspectrum"}}
    values.update({name: sections[name] for name in recipe.modalities})
    return parse_config(values)
