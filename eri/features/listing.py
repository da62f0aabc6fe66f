"""What is in a feature store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from eri.config import ExtractorConfig
from eri.features.folder import FeatureFolder
from eri.features.index import Journal
from eri.features.places import local_features, open_folder
from eri.features.problems import explained
from eri.storage import mirrored_url, parse_url
from eri.utils.errors import ConfigError, StoreError
from eri.utils.files import canonical_json, digest

_NAME = re.compile(r"(?P<extractor>.+)-(?P<digest>[0-9a-f]{12})")
_CONFIGS: TypeAdapter[ExtractorConfig] = TypeAdapter(ExtractorConfig)


@dataclass(frozen=True)
class StoredFolder:
    """One feature folder.

    Attributes:
        path: Where it is.
        identity: What ``identity.json`` says; None where it is missing, altered, or of another folder.
        configs: The configs that lead to it, one canonical JSON text each, and when each last did, in nanoseconds.
        imported: Whether its features came from elsewhere and cannot be made again; True too where that is not known.
    """

    path: Path
    identity: dict[str, Any] | None
    configs: Mapping[str, int]
    imported: bool

    @property
    def store(self) -> FeatureFolder:
        """The folder to read and write; without its identity no feature file in it would match."""
        return FeatureFolder(self.path, digest(self.identity))

    @property
    def data_set(self) -> str | None:
        """The data set that its features were imported for; None where they were extracted."""
        return None if self.identity is None else self.identity.get("data_set")

    @property
    def modality(self) -> Literal["visual", "audio"] | None:
        """What the features describe; None where no config tells."""
        return modality_of(json.loads(next(iter(self.configs), "{}")))

    def matches(self, identity: str) -> bool:
        """Tell whether a feature file that states this digest of its extractor's identity belongs here."""
        whole = digest(self.identity) if self.identity is not None else ""
        return identity == whole if whole else identity.startswith(self.path.name[-12:])


def stored_folders(features: Path, names: Sequence[str] = ()) -> list[StoredFolder]:
    """Return the feature folders of a store, by name.

    Args:
        features: Folder of the store.
        names: Only these, with or without their digits; empty is all.

    Raises:
        ConfigError: A name is of no folder.
        StoreError: The store is in an object store.
    """
    url = parse_url(features) or mirrored_url(features, "features")
    if url is not None:
        raise StoreError(
            f"{url}: features in an object store can be neither verified nor cleared up from here",
            hint="Each file is verified whenever it is read. To verify all, copy them to a folder and name that.",
        )
    paths = sorted(path for path in features.glob("[!.]*") if path.is_dir() and _NAME.fullmatch(path.name))
    for name in names:
        if not any(_is_called(path, name) for path in paths):
            there = ", ".join(path.name for path in paths) or "none"
            raise ConfigError(f"{features}: no features '{name}'", hint=f"There are: {there}.")
    return [_open(path) for path in paths if not names or any(_is_called(path, name) for name in names)]


def modality_of(config: Mapping[str, Any]) -> Literal["visual", "audio"] | None:
    """Return what a noted config's features describe; None of an empty one.

    Imported ones say so; of the others, visual ones look for faces or are those of a video model.

    Examples:
        >>> modality_of({"extractor": "resnet50", "faces": {}}), modality_of({"extractor": "mfcc"}), modality_of({})
        ('visual', 'audio', None)
    """
    if not config:
        return None
    modality: Literal["visual", "audio"] = "visual" if "faces" in config or "windows" in config else "audio"
    return config.get("modality") or modality


def _is_called(path: Path, name: str) -> bool:
    return name == path.name or name.lower() == path.name[:-13].lower()


def _open(path: Path) -> StoredFolder:
    identity = _read(path / "identity.json")
    fits = identity is not None and digest(identity)[:12] == path.name[-12:]
    configs = {}
    for file in sorted(path.glob("config*.json")):
        values = _read(file)
        if values is not None:
            configs[_canonical(values)] = file.stat().st_mtime_ns
    made_here = fits and identity is not None and identity.get("extractor") != "imported"
    return StoredFolder(path, identity if fits else None, configs, imported=not made_here)


def _canonical(values: dict[str, Any]) -> str:
    """Return a config as one text, with settings that did not exist when it was noted at their usual values."""
    try:
        return canonical_json(_CONFIGS.validate_python(values).model_dump(mode="json"))
    except ValidationError:  # of a version with other settings
        return canonical_json(values)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


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
    config, identity = _read(folder / "config.json") or {}, _read(folder / "identity.json") or {}
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
