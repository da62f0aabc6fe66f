"""Data sets: adapters that read a challenge folder or table into one clip table."""

from eri.data.adapters.registry import ADAPTERS, Adapter, load_clips, register_adapter
from eri.data.clips import SPLITS, Clip, ClipTable, Split

__all__ = ["ADAPTERS", "SPLITS", "Adapter", "Clip", "ClipTable", "Split", "load_clips", "register_adapter"]
