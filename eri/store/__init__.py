"""The feature cache: one file a clip and extractor that proves itself, and packed copies for training."""

from eri.store.crops import CachedCrops, holds_crops, open_crops
from eri.store.folder import FeatureFolder, Inventory
from eri.store.format import FeatureRecord
from eri.store.packing import PackedFeatures, pack
from eri.store.places import local_features, open_folder
from eri.store.sources import Source, SourceIdentity, SourceStamp, clip_source, clip_sources, identify_source
from eri.store.store import FeatureStore, data_set_of, find_folder, identity_of, remember_config

__all__ = [
    "CachedCrops",
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
    "holds_crops",
    "identify_source",
    "identity_of",
    "local_features",
    "open_crops",
    "open_folder",
    "pack",
    "remember_config",
]
