"""Networks that predict labels: heads over sequences of embeddings, and video models over pictures."""

from eri.models.base import Predictor
from eri.models.heads import Head, create_head
from eri.models.regressor import Regressor
from eri.models.sequences import Sequences
from eri.models.standardization import Standardizer

__all__ = ["Head", "Predictor", "Regressor", "Sequences", "Standardizer", "create_head"]
