"""The feature cache: one file a clip and extractor that proves itself, and packed copies for training."""

from eri.store.folder import FeatureFolder, Inventory
from eri.store.format import FeatureRecord
from eri.store.packing import PackedFeatures, pack
from eri.store.sources import Source, SourceIdentity, SourceStamp, clip_source, clip_sources, identify_source
from eri.store.store import FeatureStore, data_set_of, find_folder, identity_of, remember_config

__all__ = [
    "FeatureFolder",
    "FeatureRecord",
    "FeatureStore",
    "Inventory",
    "PackedFeatures",
    "Source",
    "SourceIdentity",
    "SourceStamp",
    "clip_source",
    "clip_sources",
    "data_set_of",
    "find_folder",
    "identify_source",
    "identity_of",
    "pack",
    "remember_config",
]
