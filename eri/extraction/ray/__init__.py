"""Extraction on a Ray cluster: actors that hold a model each and do clips from the file to the features.

The driver keeps the list of clips, the events and the failures, as for any engine. Each actor runs the pipeline of a
local extraction, with worker processes of its own, and writes features into the shared folder itself: what travels is
the names of clips and what became of them. docs/scaling.md says why.
"""

from eri.extraction.ray.engine import RayEngine

__all__ = ["RayEngine"]
