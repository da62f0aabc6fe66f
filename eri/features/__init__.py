"""Features that come from elsewhere and go elsewhere: the organisers' files in, files for other programs out."""

from eri.features.exporting import ExportReport, export_features
from eri.features.importing import ImportReport, import_features
from eri.features.listing import FeatureListing, list_features

__all__ = [
    "ExportReport",
    "FeatureListing",
    "ImportReport",
    "export_features",
    "import_features",
    "list_features",
]
