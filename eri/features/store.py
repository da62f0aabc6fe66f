"""The feature store: a folder of feature folders, found by an extractor's identity or by a config."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from eri.config import ExtractorConfig, ImportedConfig
from eri.features.folder import FeatureFolder
from eri.features.places import local_features, open_folder
from eri.features.problems import explained
from eri.storage import standing_for
from eri.utils.errors import StoreError
from eri.utils.files import digest, write_json

_LOG = logging.getLogger(__name__)
_IDENTITY = "identity.json"
_CONFIG = "config.json"

DATA_SET = "data_set"
"""Key of an imported feature's identity: ids alone do not tell data sets apart."""


class FeatureStore:
    """The folder that holds the feature folders of all extractors.

    Attributes:
        root: Where it is on this machine; made on the first write. Of a URL it is the mirror.

    Examples:
        >>> store = FeatureStore(getfixture("tmp_path"))
        >>> store.folder("resnet50", {"model": "resnet50", "frames": 32}).path.name
        'resnet50-a59dd5895d8f'
    """

    def __init__(self, root: Path) -> None:
        self.root = local_features(root)

    def folder(self, extractor_name: str, identity: dict[str, Any]) -> FeatureFolder:
        """Return the folder of an extractor, made when missing.

        Args:
            extractor_name: Short name; characters that a folder cannot have become ``-``.
            identity: Everything that determines the numbers, as JSON values.

        Raises:
            StoreError: The folder has to be made and cannot be.
        """
        identity_digest = digest(identity)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", extractor_name).strip(".-") or "extractor"
        folder = open_folder(self.root / f"{name}-{identity_digest[:12]}", identity_digest)
        path = folder.path / _IDENTITY
        if digest(_read_json(path)) != identity_digest:
            with explained(path):
                write_json(path, identity)
        return folder


def remember_config(folder: FeatureFolder, config: ExtractorConfig) -> None:
    """Note in a feature folder that this config leads to it, for :func:`find_folder`.

    The first config stands in ``config.json``; others that lead to the same identity, such as one that names the same
    weights by path, in ``config-<12 hex digits>.json``.

    Raises:
        StoreError: The folder cannot be written.
    """
    values = config.model_dump(mode="json")
    first = folder.path / _CONFIG
    other = folder.path / f"config-{digest(values)[:12]}.json"
    for path in (first, other):
        stored = _read_json(path)
        if stored is None:
            with explained(path):
                write_json(path, values)
        elif not _means(stored, config):
            continue
        _make_latest(path, config)
        return


def _make_latest(path: Path, config: ExtractorConfig) -> None:
    """Rank a folder before all others of its config, by age; that of the others may be of a clock since set back."""
    with suppress(OSError):  # a folder that may only be read still serves
        others = [
            other.stat().st_mtime_ns
            for other in path.parent.parent.glob("*/config*.json")
            if other.parent != path.parent and _means(_read_json(other), config)
        ]
        now = max([time.time_ns(), *(age + 1_000_000 for age in others)])
        os.utime(path, ns=(now, now))


def find_folder(root: Path, config: ExtractorConfig, data_set: str | None = None) -> FeatureFolder:
    """Return the features that were extracted with a config, without loading its model, or that were imported.

    One config has several identities when, for example, its weights file was replaced between two extractions: the
    latest is taken, and a warning is logged.

    Args:
        root: Folder of the store, or its URL.
        config: The extractor's config, resolved.
        data_set: Of features that were imported, take those of this data set; None takes those of any.

    Raises:
        StoreError: Nothing was extracted with this config or imported under its name, or the folder's identity cannot
            be read.
    """
    root = local_features(root)
    found = [path for path in root.glob("*/config*.json") if _means(_read_json(path), config)]
    if isinstance(config, ImportedConfig):
        found = _of_data_set(found, data_set)
        if not found:
            raise _not_imported(root, config, data_set)
    if not found:
        raise StoreError(
            f"{standing_for(root)}: no {config.modality} features of extractor '{config.extractor}' "
            "with these settings",
            hint="Run `eri extract` with the same config and overrides first.",
        )
    newest = max(found, key=lambda path: (path.stat().st_mtime_ns, path))
    if len(found) > 1:
        _LOG.warning(
            "%s: %d feature folders were made with the same settings; %s is the latest and is used",
            root,
            len(found),
            newest.parent.name,
        )
    identity = _read_json(newest.parent / _IDENTITY)
    if identity is None or not newest.parent.name.endswith(digest(identity)[:12]):
        again = "eri features import" if isinstance(config, ImportedConfig) else "eri extract"
        raise StoreError(
            f"{newest.parent / _IDENTITY}: missing or altered", hint=f"Run `{again}` again: it writes it anew."
        )
    return open_folder(newest.parent, digest(identity))


def _means(stored: Any, config: ExtractorConfig) -> bool:
    """Tell whether a noted config is this one; what was noted before a setting existed has its usual value."""
    usual = {name: field.default for name, field in type(config).model_fields.items() if not field.is_required()}
    return isinstance(stored, dict) and {**usual, **stored} == config.model_dump(mode="json")


def _of_data_set(found: list[Path], data_set: str | None) -> list[Path]:
    """Return the configs of folders that belong to a data set; a folder without identity is kept, to be told of."""
    identities = [(path, _read_json(path.parent / _IDENTITY)) for path in found]
    return [
        path
        for path, identity in identities
        if data_set is None or not isinstance(identity, dict) or identity.get(DATA_SET) == data_set
    ]


def _not_imported(root: Path, config: ImportedConfig, data_set: str | None) -> StoreError:
    dimension = "" if config.dimension is None else f" with {config.dimension} dimensions"
    owner = "" if data_set is None else f" of the data set '{data_set}'"
    return StoreError(
        f"{standing_for(root)}: no imported {config.modality} features '{config.name}'{dimension}{owner}",
        hint="Put them there with `eri features import`; `eri features ls` lists what is there.",
    )


def data_set_of(folder: FeatureFolder) -> str | None:
    """Return the data set that features were imported for; None where they were extracted.

    Raises:
        StoreError: The folder's identity is missing or altered.
    """
    identity = identity_of(folder)
    return str(identity[DATA_SET]) if identity.get("extractor") == "imported" else None


def identity_of(folder: FeatureFolder) -> dict[str, Any]:
    """Return the identity that a feature folder was made for.

    Raises:
        StoreError: It is missing or altered.
    """
    identity = _read_json(folder.path / _IDENTITY)
    if not isinstance(identity, dict) or digest(identity) != folder.digest:
        raise StoreError(f"{folder.path / _IDENTITY}: missing or altered", hint="Run `eri extract` again.")
    return identity


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
