"""The feature store as a whole: what is in it and whether it is sound, what comes from elsewhere and goes elsewhere."""

from eri.features.checking import FeatureFinding
from eri.features.clearing import ClearingReport, clear_features
from eri.features.exporting import ExportReport, export_features
from eri.features.importing import ImportReport, import_features
from eri.features.listing import FeatureListing, list_features
from eri.features.verifying import VerifyReport, verify_features

__all__ = [
    "ClearingReport",
    "ExportReport",
    "FeatureFinding",
    "FeatureListing",
    "ImportReport",
    "VerifyReport",
    "clear_features",
    "export_features",
    "import_features",
    "list_features",
    "verify_features",
]
