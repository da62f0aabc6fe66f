"""What is in a feature store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eri.features.folders import modality_of
from eri.store import local_features, open_folder
from eri.store.journal import Journal
from eri.store.problems import explained


@dataclass(frozen=True)
class FeatureListing:
    """One feature folder.

    Attributes:
        folder: Its name.
        extractor: What made the features: an extractor, or ``imported``.
        modality: What they describe; None where no config stands there.
        data_set: That they were imported for; None where they were extracted.
        clips: Feature files.
        dimension: Length of a row; None where that is not known without opening a file.
        rows: Rows of all clips, as far as the journal knows them.
        size: Bytes of the feature files.
    """

    folder: str
    extractor: str
    modality: str | None
    data_set: str | None
    clips: int
    dimension: int | None
    rows: int
    size: int


def list_features(features: Path) -> list[FeatureListing]:
    """Return what a feature store holds, by name of its folders; nothing where there is none.

    No feature file is opened: rows and dimensions are those of the journals.

    Args:
        features: Folder of the store, or its URL.

    Raises:
        StoreError: It may not be read.
    """
    features = local_features(features)
    with explained(features):
        return [_describe(path.parent) for path in sorted(features.glob("[!.]*/identity.json"))]


def _describe(folder: Path) -> FeatureListing:
    files = open_folder(folder, "").sizes()
    known = {clip_id: entry for clip_id, entry in Journal(folder / "journal.jsonl").load().items() if clip_id in files}
    config, identity = _read(folder / "config.json"), _read(folder / "identity.json")
    return FeatureListing(
        folder=folder.name,
        extractor=str(config.get("extractor") or identity.get("extractor") or folder.name[:-13]),
        modality=modality_of(config),
        data_set=identity.get("data_set"),
        clips=len(files),
        dimension=next((entry.dimension for entry in known.values()), None),
        rows=sum(entry.rows for entry in known.values()),
        size=sum(files.values()),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
