"""Searching any setting of a config with Optuna: pruned, on disk, resumable, in several processes."""

from eri.evaluation.search.searching import SearchReport, TrialEnded, search
from eri.evaluation.search.space import Parameter, Space, configured, read_space

__all__ = ["Parameter", "SearchReport", "Space", "TrialEnded", "configured", "read_space", "search"]
