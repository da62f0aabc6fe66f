from typing import Any, get_args

import numpy as np
import pytest
import torch

from eri.media.faces.detection import Detection, Image
from eri.media.faces.retinaface import Backbone, RetinaFaceDetector
from eri.utils.errors import DeviceMemoryError
from tests.media.faces.conftest import Checkpoints
from tests.media.faces.scenes import Face, scene

THRESHOLD = 0.97
BACKBONES: tuple[Backbone, ...] = get_args(Backbone)


@pytest.fixture(scope="module", params=BACKBONES)
def detector(request: pytest.FixtureRequest, checkpoints: Checkpoints) -> RetinaFaceDetector:
    return RetinaFaceDetector(request.param, checkpoints[request.param], size=96, threshold=THRESHOLD)


def images(count: int) -> list[Image]:
    return [scene(Face(60 + 5 * row, 90, 50 + 4 * row, 3 * row)) for row in range(count)]


def assert_same(first: list[Detection], second: list[Detection]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.landmarks is not None
        assert other.landmarks is not None
        np.testing.assert_allclose(one.score, other.score, atol=1e-4)
        np.testing.assert_allclose(one.box, other.box, atol=0.05)
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.05)


@pytest.mark.slow
def test_a_batch_gives_what_each_image_gives_alone(
    detector: RetinaFaceDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eri.media.faces.retinaface.BATCH", 4)
    given = images(6)
    together = detector.detect(given)
    assert all(together)
    for image, found in zip(given, together, strict=True):
        assert_same(found, detector.detect([image])[0])


def test_images_of_several_sizes_keep_their_order(detector: RetinaFaceDetector) -> None:
    wide, tall = scene(Face(160, 120, 90)), scene(Face(100, 160, 90), width=200, height=320)
    found = detector.detect([wide, tall, wide])
    assert_same(found[0], found[2])
    assert_same(found[1], detector.detect([tall])[0])
    assert detector.detect([]) == []


def test_detections_are_sure_enough_and_surest_first(detector: RetinaFaceDetector) -> None:
    for faces in detector.detect(images(3)):
        scores = [face.score for face in faces]
        assert scores == sorted(scores, reverse=True)
        assert all(THRESHOLD <= score <= 1 for score in scores)


def test_boxes_are_in_pixels_of_the_original(detector: RetinaFaceDetector) -> None:
    small = scene(Face(80, 60, 50), width=160, height=120)
    large = np.repeat(np.repeat(small, 4, axis=0), 4, axis=1)
    for one, other in zip(detector.detect([small])[0], detector.detect([large])[0], strict=True):
        np.testing.assert_allclose(4 * one.box, other.box, atol=0.5)


@pytest.mark.gpu
def test_a_gpu_gives_what_the_processor_gives(checkpoints: Checkpoints) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    path = checkpoints["mobilenet0.25"]
    found = [
        RetinaFaceDetector("mobilenet0.25", path, size=96, threshold=THRESHOLD, device=device).detect(images(3))
        for device in ("cpu", "cuda")
    ]
    for one, other in zip(*found, strict=True):
        assert len(one) == len(other)
        np.testing.assert_allclose([face.box for face in one], [face.box for face in other], atol=0.5)


def test_a_batch_that_does_not_fit_the_device_is_halved(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    detector = RetinaFaceDetector("mobilenet0.25", checkpoints["mobilenet0.25"], size=96, threshold=THRESHOLD)
    given = images(6)
    expected = detector.detect(given)
    run = RetinaFaceDetector._run

    def small(self: RetinaFaceDetector, batch: list[Image]) -> Any:
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self, batch)

    monkeypatch.setattr(RetinaFaceDetector, "_run", small)
    for one, other in zip(detector.detect(given), expected, strict=True):
        assert_same(one, other)
    assert "going on with 2 images at once" in caplog.text

    def none(self: RetinaFaceDetector, batch: list[Image]) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(RetinaFaceDetector, "_run", none)
    with pytest.raises(DeviceMemoryError, match="face detector"):
        detector.detect(given)
