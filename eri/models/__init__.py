"""Networks that predict labels: heads over sequences of embeddings, and video models over images."""

from eri.models.heads import Head, create_head
from eri.models.regressor import Predictor, Regressor, Standardizer
from eri.models.sequences import Sequences

__all__ = ["Head", "Predictor", "Regressor", "Sequences", "Standardizer", "create_head"]
