"""Runs to report on: manifests whose labels have hostile names, features with a signal, and a few clips that play."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from eri.api import commands
from eri.config import Runtime
from eri.features.records import FeatureSequence
from eri.features.sources import Source
from eri.features.store import FeatureStore, remember_config
from eri.media.state import State
from tests.factories.features import Recipe, make_config
from tests.factories.media import write_clip

SCRIPT = "<script>document.title='gone'</script>"
LONG = "long " + "ä" * 195
HOSTILE = (SCRIPT, "\"quoted\" & 'so' 😀", LONG)
CLASSES = ("calm", "<b>angry</b>", "sad")
CPU = Runtime(device="cpu")


@dataclass(frozen=True)
class Place:
    """Where data, features and runs stand.

    Attributes:
        folder: Holds ``data.yaml``, ``features`` and ``runs``.
    """

    folder: Path

    @property
    def runs(self) -> Path:
        """Where run folders stand."""
        return self.folder / "runs"

    @property
    def store(self) -> Path:
        """The feature folder of the run."""
        return next((self.folder / "features").glob("resnet18-*"))

    def train(self, name: str, *overrides: str, evaluate: bool = True) -> Path:
        """Train a run, and evaluate it."""
        run = commands.train(
            self.folder / "data.yaml",
            config=self.folder / "system.yaml",
            overrides=overrides,
            features=self.folder / "features",
            runs=self.runs,
            name=name,
            device="cpu",
        )
        if evaluate:
            commands.evaluate(run, bootstrap=100, device="cpu")
        return run


def write_place(folder: Path, *, classes: bool = False, clips: int = 60, played: int = 0, splits: str = "") -> Place:
    """Write a data set, its features and a system.

    Args:
        folder: Gets everything.
        classes: Of a classification; else of intensities with the names :data:`HOSTILE`.
        clips: Their number.
        played: So many clips have a video, the first with sound, the others without.
        splits: Of the clips; empty puts a third into ``val``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    names = CLASSES if classes else HOSTILE
    truth = np.eye(3)[np.arange(clips) // 3 % 3] if classes else generator.random((clips, 3)).round(3)
    ids = [f"{number:03d}" for number in range(clips)]
    table = pd.DataFrame({"id": ids, "split": splits.split() or ["train", "train", "val"] * (clips // 3)})
    labels = (
        {"mood": [names[place] for place in truth.argmax(axis=1)]}
        if classes
        else dict(zip(names, truth.T, strict=True))
    )
    table.assign(**labels).to_csv(folder / "labels.csv", index=False)
    columns = {"id": "id", "split": "split"} | ({"class": "mood"} if classes else {})
    kind = {"kind": "classification"} if classes else {}
    description = {"name": "moods", **kind, "table": "labels.csv", "columns": columns, "labels": list(names)}
    description["paths"] = {"video": "{id}.mp4"}
    (folder / "data.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    config = make_config(Recipe())
    (folder / "system.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    store = FeatureStore(folder / "features").folder("resnet18", {"a": 1})
    assert config.visual is not None
    remember_config(store, config.visual)
    for clip_id, one in zip(ids, truth, strict=True):
        rows = one[None] * 2 + 0.3 * generator.normal(size=(4, 3))
        states = np.where(generator.random(4) < 0.2, State.NO_FACE, State.VALID).astype(np.uint8)
        states[0] = State.VALID
        features = FeatureSequence(rows.astype(np.float32), np.arange(4.0), states)
        store.write(clip_id, features, Source(f"{clip_id}.mp4", size=1, mtime_ns=1, sha256="00"))
    for number in range(played):
        write_clip(folder / f"{ids[number]}.mp4", 0.6, fps=10, size=(96, 64), audio=number == 0)
    return Place(folder)
