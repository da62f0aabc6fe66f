"""Opening packed features through the store: by config when a run begins, by recorded identity ever after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eri.config import ExperimentConfig
from eri.data.clips import ClipTable, Split
from eri.features.crops import holds_crops, open_crops
from eri.features.folder import FeatureFolder
from eri.features.packing import pack
from eri.features.sources import clip_sources
from eri.features.store import data_set_of, find_folder, identity_of, local_features, open_folder
from eri.training.features import FeatureSet, ModalityFeatures
from eri.utils.errors import StoreError


def find_features(config: ExperimentConfig, root: Path, data_set: str | None = None) -> dict[str, FeatureFolder]:
    """Find the feature folders that a config's extractors made, or that were imported, by modality.

    Args:
        config: The system.
        root: Folder of the feature store.
        data_set: That imported features must be of.

    Raises:
        StoreError: Nothing was extracted with one of them, or imported.
    """
    return {name: find_folder(root, extractor, data_set) for name, extractor in config.extractors.items()}


def find_versions(config: ExperimentConfig, root: Path) -> dict[str, list[FeatureFolder]]:
    """Find the folders of the brightened versions that training draws from, by modality.

    Args:
        config: The system.
        root: Folder of the feature store.

    Raises:
        StoreError: One of them was not extracted.
    """
    folders = [find_folder(root, extractor) for extractor in config.drawn]
    return {"visual": folders} if folders else {}


def recorded_features(recorded: Mapping[str, Mapping[str, Any]], root: Path) -> dict[str, FeatureFolder]:
    """Find the feature folders of the very identities that a run was trained on.

    Args:
        recorded: What :func:`describe` said of each modality.
        root: Folder of the feature store.

    Raises:
        StoreError: The store has no features of that identity.
    """
    folders = {}
    for name, source in recorded.items():
        folder = open_folder(local_features(root) / str(source["folder"]), str(source["digest"]))
        if not folder.path.is_dir():
            raise StoreError(
                f"{folder.path}: the {name} features that the run was trained on are not there",
                hint="Run `eri extract` with the run's config.yaml, or name their folder with --features DIR.",
            )
        folders[name] = folder
    return folders


def describe(folder: FeatureFolder) -> dict[str, Any]:
    """Return what a run records of a feature folder: its name, and the extractor's identity with its digest."""
    return {"folder": folder.path.name, "digest": folder.digest, "identity": identity_of(folder)}


def open_versions(
    folders: Mapping[str, Sequence[FeatureFolder]], table: ClipTable
) -> dict[str, tuple[ModalityFeatures, ...]]:
    """Map further versions of the train split's embeddings, by modality.

    Raises:
        StoreError: As :func:`open_split` does.
    """
    return {
        name: tuple(open_split({name: folder}, table, "train").modalities[name] for folder in versions)
        for name, versions in folders.items()
    }


def open_split(folders: Mapping[str, FeatureFolder], table: ClipTable, split: Split) -> FeatureSet:
    """Map the packed features of one split; each split is packed apart, or all clips together where they are pooled.

    Face crops are not packed: they are looked up, and decoded when they are asked for.

    Raises:
        StoreError: No clip of the split has features, or they were made from other files than the table's, or imported
            for another data set.
    """
    clips = table.clips if table.pooled else table.split(split)
    ids = [clip.id for clip in clips]
    modalities, others = {}, {}
    for name, folder in folders.items():
        owner = data_set_of(folder)
        if owner not in (None, table.name):
            raise StoreError(
                f"{folder.path}: these {name} features were imported for the data set '{owner}', not '{table.name}'",
                hint="The same id is another clip there. Import this data set's own with `eri features import`.",
            )
        sources = clip_sources(table, "visual" if name == "visual" else "audio", clips)
        if holds_crops(folder):
            others[name] = open_crops(folder, ids, sources=sources)
            continue
        packed = pack(folder, ids, sources=sources)
        modalities[name] = ModalityFeatures.from_arrays(
            packed.embeddings, packed.offsets, packed.states, packed.clip_ids, packed.fingerprint, packed.times
        )
    return FeatureSet(modalities, others)
