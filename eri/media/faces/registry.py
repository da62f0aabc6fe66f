"""The face detectors by name, and what of their settings determines the crops."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from eri.config import DETECTORS, FaceConfig
from eri.media.faces.detection import Detection, Detector, Image
from eri.utils.errors import MissingDependencyError
from eri.utils.registry import Registry, source_digest
from eri.weights import locate_weights, weights_digest

RULES = 1
"""Version of the rules in this package (search, tracking, smoothing, cropping): raised when crops change."""


class WholeImage:
    """Takes each image as one face with score 1 and no landmarks."""

    def detect(self, images: Sequence[Image], *, size: int | None = None) -> list[list[Detection]]:
        """Return the whole of each image, whatever the size."""
        boxes = [np.array([0.0, 0.0, image.shape[1], image.shape[0]]) for image in images]
        return [[Detection(box, 1.0)] for box in boxes]


@lru_cache(maxsize=4)
def create_detector(config: FaceConfig, device: str = "cpu") -> Detector:
    """Return the detector that a config asks for; the same one for the same config within a process.

    A WeightsError where weights or shape predictor are absent, damaged or do not fit, a MissingDependencyError where
    ``retinaface``, which alone uses the device, is asked for without its package.
    """
    return _KINDS[config.detector].create(config, device)


def face_identity(config: FaceConfig) -> dict[str, Any]:
    """Return everything that determines the crops, as JSON values: settings, digests of files, versions.

    Settings that the detector does not use are left out, so that changing them makes no new features. A WeightsError
    where the weights or the shape predictor are nowhere to be found.
    """
    import cv2

    identity: dict[str, Any] = {"detector": config.detector, "rules": RULES, "opencv": cv2.__version__}
    kind = _KINDS[config.detector]
    if kind.identity is None:
        return identity
    identity |= config.model_dump(mode="json", include={"every", "detection_size", "threshold", "margin", "align"})
    return identity | kind.identity(config)


Create = TypeVar("Create", bound=Callable[..., Detector])


@dataclass(frozen=True)
class _Kind:
    create: Callable[[FaceConfig, str], Detector]
    identity: Callable[[FaceConfig], dict[str, Any]] | None


_KINDS: Registry[_Kind] = Registry("face detector")


def register_detector(
    name: str, *, version: str = "", identity: Callable[[FaceConfig], dict[str, Any]] | None = None
) -> Callable[[Create], Create]:
    """Register a face detector: a decorator of a class or function that is called as ``Mine(config, device)``.

    What it makes has ``detect(images, *, size=None)``, see :class:`~eri.media.faces.detection.Detector`. Faces are
    found where clips are decoded, in processes of their own: put it into a module that is loaded as a plugin.

    Args:
        name: Its name in ``faces.detector``.
        version: Part of the identity of features, beside the detector's own source code; raise it when code or weights
            that it uses change.
        identity: Returns what determines its boxes, as JSON values, in place of version and source code.

    Raises:
        PluginError: The name is taken, or the source cannot be read and there is neither version nor identity.
    """

    def register(create: Create) -> Create:
        digest = source_digest(create, version) if identity is None else None

        def own(config: FaceConfig) -> dict[str, Any]:
            return {"version": version, "source": digest, "weights": config.weights}

        DETECTORS.register(name, (create.__doc__ or "").partition("\n")[0], create.__module__)
        _KINDS.register(name, _Kind(create, identity or own), create.__module__)
        return create

    return register


def _dlib(config: FaceConfig, device: str) -> Detector:
    from eri.media.faces.dlib_hog import DlibDetector

    return DlibDetector(size=config.detection_size, threshold=config.threshold, landmarks=config.landmarks)


def _retinaface(config: FaceConfig, device: str) -> Detector:
    _retinaface_version()
    from eri.media.faces.retinaface import RetinaFaceDetector

    weights, size = _weights(config), config.detection_size
    return RetinaFaceDetector(config.backbone, weights, size=size, threshold=config.threshold, device=device)


def _weights(config: FaceConfig) -> Path:
    path = None if config.weights == "pretrained" else Path(config.weights)
    return locate_weights(f"retinaface-{config.backbone}", path=path, option="visual.faces.weights")


def _retinaface_version() -> str:
    try:
        return str(importlib.import_module("retinaface").__version__)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "the face detector 'retinaface' needs the package retinaface-pytorch, which is not installed",
            hint="pip install --no-deps retinaface-pytorch==0.0.8 (its own pins cannot be installed)",
        ) from error


def _dlib_identity(config: FaceConfig) -> dict[str, Any]:
    import dlib

    from eri.media.faces.dlib_hog import check_file

    landmarks = None if config.landmarks is None else weights_digest(check_file(config.landmarks))
    return {"landmarks": landmarks, "dlib": dlib.__version__}


def _retinaface_identity(config: FaceConfig) -> dict[str, Any]:
    digest = weights_digest(_weights(config))
    return {"backbone": config.backbone, "weights": digest, "retinaface-pytorch": _retinaface_version()}


_KINDS.register("dlib", _Kind(_dlib, _dlib_identity), __name__)
_KINDS.register("retinaface", _Kind(_retinaface, _retinaface_identity), __name__)
_KINDS.register("none", _Kind(lambda config, device: WholeImage(), None), __name__)
