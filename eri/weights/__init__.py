"""Model weights: where each comes from, how it is found or fetched, and how it is read without running any of it.

This package stands before ``eri.media`` because face detectors need weights too. Importing it imports no torch.
"""

from eri.weights.checkpoint import load_into, load_state_dict
from eri.weights.locate import given_weights, is_offline, locate_weights, status, weights_digest, weights_folder
from eri.weights.registry import WEIGHTS, WeightsEntry

__all__ = [
    "WEIGHTS",
    "WeightsEntry",
    "given_weights",
    "is_offline",
    "load_into",
    "load_state_dict",
    "locate_weights",
    "status",
    "weights_digest",
    "weights_folder",
]
