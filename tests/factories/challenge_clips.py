"""Factories for challenge folders whose clips really play, and for systems small enough to run on them in a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import yaml
from numpy.typing import NDArray

from eri.config import ExperimentConfig, LightGBMConfig, VideoModelConfig
from tests.factories.challenge import Entry, make_entries, write_abaw5
from tests.factories.media import write_clip, write_wav


def write_media(path: Path, entry: Entry) -> None:
    """Write a short clip with pictures of noise, or its sound; both follow from the clip's id."""
    seed = int(entry.id)
    if path.suffix == ".wav":
        write_wav(path, 0.8, samples=_noise(seed, 12_800))
        return
    generator = np.random.default_rng(seed)
    still = generator.integers(60, 200, (64, 64, 3), dtype=np.uint8)
    write_clip(
        path, 0.8, fps=10, size=(64, 64), frames=lambda time: np.roll(still, int(time * 20), axis=1), audio=False
    )


def write_challenge(root: Path, *, train: int = 6, val: int = 4, test: int = 3) -> Path:
    """Write an ABAW5 folder with clips that play, and return it."""
    write_abaw5(root, make_entries(train, val, test), video=write_media, audio=write_media)
    return root


SMALL = (
    "visual.weights=random",
    "visual.frames=2",
    "visual.input_size=64",
    "visual.faces.detector=none",
    "audio.weights=random",
    "audio.input_size=64",
    "training.epochs=1",
)
"""Overrides that make any shipped system run in seconds; those of a section that a system lacks are left out."""


SMALL_VIDEO = (
    "visual.frames=12",
    "visual.input_size=32",
    "model.input_size=32",
    "model.weights=random",
    "training.warmup=0",
    "training.batch_size=4",
    "training.balancing=null",
)
"""The same for systems that train a video model, beside what stands for each model in :data:`SMALL_MODELS`."""

SMALL_MODELS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "r2plus1d-scl": ("model.frames=4",),
        "cnn3d": ("model.frames=8", "model.filters=[4, 8, 8, 8, 8]", "model.dense=[8]"),
        "ceflnet": (
            "model.backbone=resnet10t",
            "model.frames=6",
            "model.sub_videos=3",
            "model.sub_video_frames=4",
            "model.overlap=1",
            "model.starts=3",
            "model.activation_channels=[8]",
            "model.hidden_size=8",
        ),
        "c3d": ("model.frames=8", "model.dense=16"),
        "c3d-lstm": ("model.frames=8", "model.hidden_size=8", "model.dense=8"),
    }
)


def small_overrides(config: ExperimentConfig) -> list[str]:
    """Return the part of :data:`SMALL` that fits a system."""
    if isinstance(config.model, LightGBMConfig):
        return ["model.rounds=2", *(item for item in SMALL if _fits(config, item) and not item.startswith("training."))]
    small = [item for item in SMALL if _fits(config, item)]
    if isinstance(config.model, VideoModelConfig):
        video = [item for item in SMALL_VIDEO if _fits(config, item)]
        return [*small, *video, *SMALL_MODELS[config.model.name]]
    return small


def _fits(config: ExperimentConfig, item: str) -> bool:
    section, key = item.split("=")[0].split(".")[:2]
    return hasattr(getattr(config, section), key)


def write_system(path: Path, *, modality: str = "visual", name: str = "small") -> Path:
    """Write the YAML of a system with a tiny backbone and head."""
    visual = {"extractor": "test_resnet", "weights": "random", "frames": 3, "input_size": 64}
    visual["faces"] = {"detector": "none"}
    audio = {"extractor": "deepspectrum", "backbone": "test_resnet", "weights": "random", "input_size": 64}
    sections = {
        "visual": {"visual": visual},
        "audio": {"audio": audio},
        "multimodal": {"visual": visual, "audio": audio},
    }
    head = "fusion-lstm" if modality == "multimodal" else "lstm"
    system = {
        "name": name,
        "modality": modality,
        **sections[modality],
        "model": {"name": head, "hidden_size": 8, "dense": 8},
        "training": {"epochs": 2, "batch_size": 4},
    }
    path.write_text(yaml.safe_dump(system), encoding="utf-8")
    return path


def _noise(seed: int, count: int) -> NDArray[np.float32]:
    return (0.2 * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)
