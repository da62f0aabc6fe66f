"""Predicting any video with a trained run: a table of intensities, and their course over time."""

from eri.prediction.timeline import FaceFrame, Timeline

__all__ = ["FaceFrame", "Timeline"]
