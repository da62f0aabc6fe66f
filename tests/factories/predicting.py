"""Tiny trained runs, and videos of every kind to predict with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from eri.api import commands
from eri.config import Runtime, load_config
from tests.factories.challenge_clips import small_overrides, write_challenge, write_system
from tests.factories.media import write_clip, write_wav

CPU = Runtime(device="cpu", workers=0)


@dataclass(frozen=True)
class Workshop:
    """Where a challenge folder, a feature cache and runs stand.

    Attributes:
        root: The folder.
    """

    root: Path

    @property
    def data(self) -> Path:
        """The challenge folder, made when first asked for."""
        folder = self.root / "data"
        return folder if folder.exists() else write_challenge(folder, val=8)

    @property
    def features(self) -> Path:
        """The cache."""
        return self.root / "features"

    def train(self, modality: str = "visual", overrides: Sequence[str] = ()) -> Path:
        """Train a tiny head on the challenge folder and return its run folder."""
        config = write_system(self.root / f"{modality}.yaml", modality=modality)
        return self._train(str(config), modality, overrides)

    def train_shipped(self, system: str) -> Path:
        """Train a small version of a shipped system."""
        return self._train(system, system, small_overrides(load_config(system)))

    def train_with_features(self, name: str, overrides: Sequence[str]) -> Path:
        """Train the tiny visual head on other features."""
        values = yaml.safe_load(write_system(self.root / f"{name}.yaml").read_text(encoding="utf-8"))
        values["visual"] = {key.split(".")[1]: value for key, value in (item.split("=") for item in overrides)}
        (self.root / f"{name}.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        return self._train(str(self.root / f"{name}.yaml"), name, ())

    def _train(self, config: str, name: str, overrides: Sequence[str]) -> Path:
        if (run := self.root / "runs" / name).exists():
            return run
        commands.extract(self.data, config=config, overrides=overrides, features=self.features, device="cpu", workers=0)
        return commands.train(
            self.data,
            config=config,
            overrides=overrides,
            features=self.features,
            runs=self.root / "runs",
            name=name,
            device="cpu",
        )


def paint(time: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Paint a light bar that moves to the right with time."""
    picture = np.full((48, 64, 3), 60, dtype=np.uint8)
    place = int(8 * time) % 56
    picture[10:30, place : place + 8] = (200, 150, 120)
    return picture


def write_videos(folder: Path) -> Path:
    """Write a readable video with sound, a mute one, a black one, a sound file, and two files that are no media."""
    black = np.zeros((48, 64, 3), dtype=np.uint8)
    write_clip(folder / "talks.mp4", 1.2, fps=10, size=(64, 48), frames=paint)
    write_clip(folder / "mute.mkv", 1.0, fps=10, size=(64, 48), frames=paint, audio=False)
    write_clip(folder / "black.mp4", 1.0, fps=10, size=(64, 48), frames=lambda _: black, audio=False)
    write_wav(folder / "sound.wav", 1.0)
    (folder / "broken.mp4").write_text("no video")
    (folder / "empty.mov").touch()
    (folder / "notes.txt").write_text("not meant")
    return folder
