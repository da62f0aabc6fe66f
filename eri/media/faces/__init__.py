"""Faces: detectors, one subject per clip, tracking, alignment and crops."""

from eri.media.faces.crops import Crops, crop_faces
from eri.media.faces.detection import Detection, Detector
from eri.media.faces.registry import create_detector, face_identity, register_detector

__all__ = ["Crops", "Detection", "Detector", "create_detector", "crop_faces", "face_identity", "register_detector"]
