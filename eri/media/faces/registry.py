"""The detectors by name, and what of their settings determines the crops."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from eri.config import FaceConfig
from eri.media.faces.detection import Detection, Detector, Picture
from eri.utils.errors import MissingDependencyError
from eri.weights import locate_weights, weights_digest


class WholePicture:
    """Takes each picture as one face with score 1 and no landmarks."""

    def detect(self, pictures: Sequence[Picture], *, size: int | None = None) -> list[list[Detection]]:
        """Return the whole of each picture, whatever the size."""
        boxes = [np.array([0.0, 0.0, picture.shape[1], picture.shape[0]]) for picture in pictures]
        return [[Detection(box, 1.0)] for box in boxes]


RULES = 1
"""Version of the rules in this package (search, tracking, smoothing, cropping): raised when crops change."""


def create_detector(config: FaceConfig, device: str = "cpu") -> Detector:
    """Return the detector that a config asks for; the same one for the same config within a process.

    Args:
        config: Face settings.
        device: ``cpu``, ``cuda`` or ``cuda:<n>``; only ``retinaface`` heeds it.

    Raises:
        WeightsError: Weights or shape predictor are absent, damaged or do not fit.
        MissingDependencyError: ``retinaface`` is asked for and the package retinaface-pytorch is not installed.
    """
    return _create(config, device)


def face_identity(config: FaceConfig) -> dict[str, Any]:
    """Return everything that determines the crops, as JSON values: settings, digests of files, versions.

    Settings that the detector does not heed are left out, so that changing them makes no new features.

    Raises:
        WeightsError: The weights or the shape predictor are nowhere to be found.
    """
    import cv2

    identity: dict[str, Any] = {"detector": config.detector, "rules": RULES, "opencv": cv2.__version__}
    if config.detector == "none":
        return identity
    identity |= config.model_dump(mode="json", include={"every", "detection_size", "threshold", "margin", "align"})
    if config.detector == "retinaface":
        return identity | {
            "backbone": config.backbone,
            "weights": weights_digest(_weights(config)),
            "retinaface-pytorch": _retinaface_version(),
        }
    import dlib

    from eri.media.faces.dlib_hog import check_file

    landmarks = None if config.landmarks is None else weights_digest(check_file(config.landmarks))
    return identity | {"landmarks": landmarks, "dlib": dlib.__version__}


@lru_cache(maxsize=4)
def _create(config: FaceConfig, device: str) -> Detector:
    return DETECTORS[config.detector](config, device)


def _whole(config: FaceConfig, device: str) -> Detector:
    return WholePicture()


def _dlib(config: FaceConfig, device: str) -> Detector:
    from eri.media.faces.dlib_hog import DlibDetector

    return DlibDetector(size=config.detection_size, threshold=config.threshold, landmarks=config.landmarks)


def _retinaface(config: FaceConfig, device: str) -> Detector:
    _retinaface_version()
    from eri.media.faces.retinaface import RetinaFaceDetector

    return RetinaFaceDetector(
        config.backbone,
        _weights(config),
        size=config.detection_size,
        threshold=config.threshold,
        device=device,
    )


def _weights(config: FaceConfig) -> Path:
    path = None if config.weights == "pretrained" else Path(config.weights)
    return locate_weights(f"retinaface-{config.backbone}", path=path, option="faces.weights")


def _retinaface_version() -> str:
    try:
        return str(importlib.import_module("retinaface").__version__)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "the face detector 'retinaface' needs the package retinaface-pytorch, which is not installed",
            hint="pip install --no-deps retinaface-pytorch==0.0.8 (its own pins cannot be installed)",
        ) from error


DETECTORS: MappingProxyType[str, Callable[[FaceConfig, str], Detector]] = MappingProxyType(
    {"dlib": _dlib, "retinaface": _retinaface, "none": _whole}
)
"""How each detector is made; its keys are those that :class:`~eri.config.extractors.FaceConfig` allows."""
