"""Faces: detectors, one subject a clip, tracking, alignment and crops."""
