"""Heads that regress intensities from sequences of embeddings."""

from eri.models.heads import Head, create_head
from eri.models.regressor import Regressor
from eri.models.sequences import Sequences
from eri.models.standardization import Standardizer

__all__ = ["Head", "Regressor", "Sequences", "Standardizer", "create_head"]
