"""Feature folders and sequences for tests of everything that reads or writes the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from eri.features.folder import FeatureFolder
from eri.features.index import FileStamp
from eri.features.records import FeatureSequence
from eri.features.sources import Source, identify_source
from eri.features.store import FeatureStore
from eri.media.state import State


def feature_sequence(
    rows: int = 4, dimension: int = 3, *, seed: int = 0, states: list[State] | None = None
) -> FeatureSequence:
    """Return features with random values; rows that are not valid are zero."""
    generator = np.random.default_rng(seed)
    row_states = np.array(states if states is not None else [State.VALID] * rows, dtype=np.uint8)
    embeddings = generator.standard_normal((len(row_states), dimension)).astype(np.float32)
    embeddings[row_states != State.VALID] = 0
    return FeatureSequence(embeddings, np.arange(len(row_states), dtype=np.float64) / 2, row_states)


def feature_folder(root: Path, **settings: object) -> FeatureFolder:
    """Return a new feature folder; settings make its identity."""
    return FeatureStore(root).folder("fake", {"family": "fake", **settings})


def source_file(path: Path, text: str = "media") -> Source:
    """Write a source file and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return Source(path.name, path)


def filled_folder(root: Path, media: Path, clip_ids: list[str]) -> tuple[FeatureFolder, dict[str, Source | None]]:
    """Return a feature folder that holds the given clips, with their sources."""
    folder = feature_folder(root)
    sources: dict[str, Source | None] = {}
    for seed, clip_id in enumerate(clip_ids):
        source = source_file(media / f"{clip_id}.mp4", f"media of {clip_id}")
        sources[clip_id] = source
        folder.write(clip_id, feature_sequence(seed=seed), identify_source(source), notes=("a note",))
    return folder, sources


def alter(path: Path) -> None:
    """Change the last bit of a file."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def decay(folder: FeatureFolder, clip_id: str) -> None:
    """Alter a feature file so that the index does not notice, as a failing disk does."""
    path = folder.feature_path(clip_id)
    alter(path)
    folder.index.add(replace(folder.index.load()[clip_id], file=FileStamp.of(path.stat())))
