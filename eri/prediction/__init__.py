"""Predicting any video with a trained run: a table of intensities, and their course over time."""

from eri.prediction.loading import LoadedRun, load
from eri.prediction.timeline import FaceFrame, Timeline
from eri.prediction.videos import find_videos

__all__ = ["FaceFrame", "LoadedRun", "Timeline", "find_videos", "load"]
