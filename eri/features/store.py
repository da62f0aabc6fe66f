"""The feature store: a folder, here or in an object store, of feature folders; found by identity, config or name.

A feature folder is called after its extractor and the first twelve digits of its identity's digest. ``identity.json``
holds the identity; ``config*.json`` hold the configs that lead to it, and ``order.json`` their order among the folders
of the same config: a number for each, higher than that of every folder that the config led to before. So the latest
one is known whatever clocks said and copying did to the times of files. Folders of 0.1 have no ``order.json``: among
them, and before all others, the times of their configs decide.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from eri.config import ExtractorConfig, ImportedConfig, parse_extractor
from eri.features.folder import FeatureFolder
from eri.features.mirrored import MirroredFolder, update_mirror
from eri.features.problems import explained
from eri.storage import mirrored_url, parse_url, standing_for
from eri.utils.errors import StoreError
from eri.utils.files import digest, write_json

if TYPE_CHECKING:
    import pandas as pd

_LOG = logging.getLogger(__name__)
_IDENTITY, _CONFIG, _ORDER = "identity.json", "config.json", "order.json"

STAGING = ".import-"
"""What the name of the folder begins with that an import fills before anyone sees it."""

Order = tuple[int, int, str]
"""What folders of one config are sorted by, the latest last."""


class FeatureStore:
    """The folder that holds the feature folders of all extractors, made on the first write; of a URL, its mirror.

    Examples:
        >>> store = FeatureStore(getfixture("tmp_path"))
        >>> store.folder("resnet50", {"model": "resnet50", "frames": 32}).path.name
        'resnet50-a59dd5895d8f'
    """

    def __init__(self, root: Path) -> None:
        self.root = local_features(root)

    def folder(self, extractor_name: str, identity: dict[str, Any]) -> FeatureFolder:
        """Return the folder of an extractor, made when missing; ``-`` stands for what a folder's name cannot have."""
        identity_digest = digest(identity)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", extractor_name).strip(".-") or "extractor"
        folder = open_folder(self.root / f"{name}-{identity_digest[:12]}", identity_digest)
        path = folder.path / _IDENTITY
        if digest(read_json(path)) != identity_digest:
            with explained(path):
                write_json(path, identity)
        return folder


def local_features(features: str | Path) -> Path:
    """Return the folder that stands for a feature store on this machine: itself, or of a URL its mirror.

    In the mirror, identities, configs and lists of failures are brought up to date (RemoteError where the store cannot
    be reached, or refuses); features are fetched later, where they are asked for.
    """
    url = parse_url(features)
    return Path(features) if url is None else update_mirror(url)


def open_folder(path: Path, digest: str) -> FeatureFolder:
    """Return the feature folder at a path, of an identity's digest: one in an object store if the path is mirrored."""
    url = mirrored_url(path, "features")
    if url is None or path.parent.name.startswith("."):  # the latter is being put together, and seen by no one yet
        return FeatureFolder(path, digest)
    return MirroredFolder(path, digest, url)


def remember_config(folder: FeatureFolder, config: ExtractorConfig) -> None:
    """Record in a feature folder that this config leads to it, for :func:`find_folder`, and now rather than to others.

    The first config stands in ``config.json``; others that lead to the same identity, such as one that names the same
    weights by path, in ``config-<12 hex digits>.json``.
    """
    values = config.model_dump(mode="json")
    first, other = folder.path / _CONFIG, folder.path / f"config-{digest(values)[:12]}.json"
    path = next((path for path in (first, other) if _means(read_json(path), config)), None)
    recorded = path is not None
    path = path or (first if read_json(first) is None else other)
    # The order comes first: a process killed in between leaves a number of nothing, not a config of no number.
    with suppress(OSError, StoreError), folder.lock("order"):  # a folder that may only be read still serves
        configs = folder.path.parent.glob("*/config*.json")
        before = [_order(one)[0] for one in configs if one != path and _means(read_json(one), config)]
        order = _read_order(folder.path)
        if order.get(path.name, 0) <= max(before, default=0):
            write_json(folder.path / _ORDER, order | {path.name: max(before, default=0) + 1})
    if not recorded:
        with explained(path):
            write_json(path, values)


def _read_order(folder: Path) -> dict[str, int]:
    order = read_json(folder / _ORDER)
    return {name: rank for name, rank in order.items() if isinstance(rank, int)} if isinstance(order, dict) else {}


def _order(config: Path) -> Order:
    rank = _read_order(config.parent).get(config.name, 0)
    return rank, 0 if rank else config.stat().st_mtime_ns, config.parent.name


def find_folder(root: Path, config: ExtractorConfig, data_set: str | None = None) -> FeatureFolder:
    """Return the features that were extracted with a config, without loading its model, or that were imported.

    One config has several identities when, for example, its weights file was replaced between two extractions: the
    latest is taken, and a warning is logged. Of imported features, those of the data set are taken, or those of any.
    StoreError where there are none, or where the folder's identity cannot be read.
    """
    root = local_features(root)
    imported = isinstance(config, ImportedConfig)
    found = [path for path in root.glob("*/config*.json") if _means(read_json(path), config)]
    if imported and data_set is not None:
        identities = [(path, read_json(path.parent / _IDENTITY)) for path in found]
        # A folder without identity is kept, to be reported.
        found = [path for path, known in identities if not isinstance(known, dict) or known.get("data_set") == data_set]
    if not found:
        raise _not_found(standing_for(root), config, data_set)
    latest = max(found, key=_order).parent
    if len(found) > 1:
        text = "%s: %d feature folders were made with the same settings; %s is the latest and is used"
        _LOG.warning(text, root, len(found), latest.name)
    again = "eri features import" if imported else "eri extract"
    return _open_known(latest, f"Run `{again}` again: it writes it again.")


def _open_known(path: Path, hint: str) -> FeatureFolder:
    """Return the feature folder at a path with the digest of its own identity."""
    identity = read_json(path / _IDENTITY)
    if identity is None or not path.name.endswith(digest(identity)[:12]):
        raise StoreError(f"{path / _IDENTITY}: missing or altered", hint=hint)
    return open_folder(path, digest(identity))


def _means(stored: Any, config: ExtractorConfig) -> bool:
    """Tell whether a recorded config is this one; what was recorded before a setting existed has its default."""
    try:
        known = isinstance(stored, dict) and parse_extractor(stored).model_dump(mode="json")
    except ValidationError:  # of another version, or of a plugin that is not there
        return False
    return known == config.model_dump(mode="json")


def _not_found(place: object, config: ExtractorConfig, data_set: str | None) -> StoreError:
    if not isinstance(config, ImportedConfig):
        return StoreError(
            f"{place}: no {config.modality} features of extractor '{config.extractor}' with these settings",
            hint="Run `eri extract` with the same config and overrides first.",
        )
    dimension = "" if config.dimension is None else f" with {config.dimension} dimensions"
    owner = "" if data_set is None else f" of the data set '{data_set}'"
    return StoreError(
        f"{place}: no imported {config.modality} features '{config.name}'{dimension}{owner}",
        hint="Put them there with `eri features import`; `eri features ls` lists what is there.",
    )


def data_set_of(folder: FeatureFolder) -> str | None:
    """Return the data set that features were imported for; None where they were extracted."""
    identity = identity_of(folder)
    return str(identity["data_set"]) if identity.get("extractor") == "imported" else None


def identity_of(folder: FeatureFolder) -> dict[str, Any]:
    """Return the identity that a feature folder was made for; StoreError where it is missing or altered."""
    identity = read_json(folder.path / _IDENTITY)
    if not isinstance(identity, dict) or digest(identity) != folder.digest:
        raise StoreError(f"{folder.path / _IDENTITY}: missing or altered", hint="Run `eri extract` again.")
    return identity


def recorded_configs(folder: Path) -> dict[Path, tuple[dict[str, Any], Order]]:
    """Return the configs that lead to a feature folder, by their files, and where each stands among its folders."""
    found = {path: (read_json(path), _order(path)) for path in sorted(folder.glob("config*.json"))}
    return {path: (values, order) for path, (values, order) in found.items() if isinstance(values, dict)}


def modality_of(config: Mapping[str, Any]) -> Literal["visual", "audio"] | None:
    """Return what a recorded config's features describe; None of an empty one.

    Examples:
        >>> modality_of({"extractor": "resnet50", "faces": {}}), modality_of({"extractor": "mfcc"}), modality_of({})
        ('visual', 'audio', None)
    """
    if not config:
        return None
    try:
        return parse_extractor(config).modality
    except ValidationError:  # of a version with other settings, or of a plugin that is not there
        modality: Literal["visual", "audio"] = "visual" if "faces" in config or "windows" in config else "audio"
        return config.get("modality") or modality


def choose_folder(features: Path, name: str) -> FeatureFolder:
    """Return the feature folder of a name as `eri features ls` prints it, with or without the twelve digits.

    StoreError, which lists the folders, where none is called so, or several are.
    """
    features = local_features(features)
    with explained(features):
        folders = sorted(path.parent.name for path in features.glob(f"[!.]*/{_IDENTITY}"))
    found = [folder for folder in folders if name in (folder, bare_name(folder))]
    if len(found) != 1:
        what = f"{len(found)} feature folders are called '{name}'" if found else f"no features are called '{name}'"
        known = ", ".join(found or folders)
        raise StoreError(f"{features}: {what}", hint=f"Choose one of: {known}." if known else "It is empty.")
    return _open_known(features / found[0], "Extract or import the features again.")


def bare_name(folder: str) -> str:
    """Return the name of a feature folder without its twelve digits.

    Examples:
        >>> bare_name("resnet50-a59dd5895d8f"), bare_name("FAUs")
        ('resnet50', 'FAUs')
    """
    return re.sub(r"-[0-9a-f]{12}$", "", folder)


def list_features(features: Path) -> pd.DataFrame:
    """Return what a feature store holds: one row per folder, as :func:`eri.features_ls`.

    No feature file is opened: rows and dimensions are those of the indexes.
    """
    import pandas as pd

    features = local_features(features)
    with explained(features):
        found = {path.parent.name: _describe(path.parent) for path in sorted(features.glob(f"[!.]*/{_IDENTITY}"))}
    index = pd.Index(list(found), name="features", dtype=object)
    columns = ("modality", "data_set", "clips", "dimension", "rows", "size")
    return pd.DataFrame(list(found.values()), index, columns).astype({"dimension": "Int64"})


def _describe(path: Path) -> tuple[object, ...]:
    folder = open_folder(path, "")
    files = folder.sizes()
    known = [entry for clip_id, entry in folder.index.load().items() if clip_id in files]
    stored = (read_json(path / name) for name in (_CONFIG, _IDENTITY))
    config, identity = (values if isinstance(values, dict) else {} for values in stored)
    dimension, rows = known[0].dimension if known else None, sum(entry.rows for entry in known)
    return modality_of(config), identity.get("data_set"), len(files), dimension, rows, sum(files.values())


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; None where it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
