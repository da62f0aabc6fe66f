import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from eri.config import DETECTORS, FaceConfig
from eri.media.faces import create_detector, face_identity
from eri.media.faces.registry import WholeImage
from eri.utils.errors import MissingDependencyError, WeightsError
from tests.media.faces.conftest import Checkpoints
from tests.media.faces.scenes import Face, scene


@pytest.fixture
def retinaface(checkpoints: Checkpoints) -> FaceConfig:
    return FaceConfig(
        detector="retinaface",
        backbone="mobilenet0.25",
        weights=str(checkpoints["mobilenet0.25"]),
        detection_size=96,
        threshold=0.97,
    )


def test_every_detector_of_the_config_is_registered_and_no_other() -> None:
    assert set(DETECTORS) == {"dlib", "retinaface", "none"}
    with pytest.raises(ValidationError, match=r"did you mean 'dlib'"):
        FaceConfig(detector="dlibb")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_every_detector_answers_alike(name: str, retinaface: FaceConfig) -> None:
    settings = retinaface if name == "retinaface" else FaceConfig.model_validate({"detector": name})
    detector = create_detector(settings)
    images = [scene(Face(160, 120, 90)), scene(Face(80, 80, 90), width=200, height=180)]
    found = detector.detect(images, size=320)
    assert len(found) == 2
    for faces in found:
        assert faces
        for face in faces:
            assert (face.box[2:] > face.box[:2]).all()
            assert isinstance(face.score, float)
            assert face.landmarks is None or face.landmarks.shape == (5, 2)


def test_a_detector_is_made_once_for_a_config() -> None:
    assert create_detector(FaceConfig()) is create_detector(FaceConfig())
    assert create_detector(FaceConfig()) is not create_detector(FaceConfig(detection_size=400))


def test_the_checkpoint_for_the_wrong_backbone_is_refused(checkpoints: Checkpoints) -> None:
    config = FaceConfig(detector="retinaface", backbone="resnet50", weights=str(checkpoints["mobilenet0.25"]))
    with pytest.raises(WeightsError, match=r"backbone mobilenet0\.25, but the config asks for resnet50"):
        create_detector(config)


def test_missing_weights_name_the_setting(tmp_path: Path) -> None:
    config = FaceConfig(detector="retinaface", weights=str(tmp_path / "none.pth"))
    for ask in (create_detector, face_identity):
        with pytest.raises(WeightsError, match=r"none\.pth(?s:.*)faces\.weights"):
            ask(config)


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, checkpoints: Checkpoints) -> None:
    monkeypatch.setitem(sys.modules, "retinaface", None)
    config = FaceConfig(detector="retinaface", weights=str(checkpoints["resnet50"]))
    for ask in (create_detector, face_identity):
        with pytest.raises(MissingDependencyError, match="pip install --no-deps retinaface-pytorch"):
            ask(config)


@pytest.mark.parametrize(
    "change",
    [
        {"every": 2},
        {"detection_size": 400},
        {"threshold": 0.5},
        {"margin": 0.3},
        {"align": False},
        {"detector": "none"},
    ],
)
def test_what_changes_crops_changes_the_identity(change: dict[str, object]) -> None:
    config = FaceConfig()
    changed = FaceConfig.model_validate(config.model_dump() | change)
    assert face_identity(config) == face_identity(FaceConfig())
    assert face_identity(changed) != face_identity(config)
    json.dumps(face_identity(changed), allow_nan=False)


def test_what_the_detector_does_not_heed_leaves_the_identity() -> None:
    assert face_identity(FaceConfig(backbone="mobilenet0.25", weights="x.pth")) == face_identity(FaceConfig())
    assert face_identity(FaceConfig(detector="none", margin=1.0)) == face_identity(FaceConfig(detector="none"))


def test_the_identity_follows_the_weights_not_their_path(
    tmp_path: Path, retinaface: FaceConfig, checkpoints: Checkpoints
) -> None:
    copy = tmp_path / "copy.pth"
    copy.write_bytes(checkpoints["mobilenet0.25"].read_bytes())
    moved = retinaface.model_copy(update={"weights": str(copy)})
    assert face_identity(moved) == face_identity(retinaface)
    copy.write_bytes(copy.read_bytes() + b"x")
    assert face_identity(moved) != face_identity(retinaface)


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="landmarks belongs to the detector dlib, not to none"):
        FaceConfig(detector="none", landmarks=tmp_path / "shape.dat")
    with pytest.raises(ValidationError, match=r"a probability in \[0, 1\], not 2"):
        FaceConfig(detector="retinaface", threshold=2)
    assert FaceConfig(threshold=2).threshold == 2


@pytest.mark.slow
def test_cropping_with_dlib_imports_no_torch() -> None:
    script = (
        "import sys, numpy as np\n"
        "from eri.config import FaceConfig\n"
        "from eri.media.faces import crop_faces, face_identity\n"
        "from eri.media.video import FrameSequence\n"
        "crop_faces(FrameSequence(np.zeros(1), np.full((1, 64, 64, 3), 99, np.uint8)), FaceConfig(), 32)\n"
        "face_identity(FaceConfig())\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_the_whole_image_is_the_face() -> None:
    images = [np.zeros((30, 50, 3), dtype=np.uint8), np.zeros((20, 10, 3), dtype=np.uint8)]
    found = WholeImage().detect(images, size=64)
    assert [[face.box.tolist() for face in faces] for faces in found] == [[[0, 0, 50, 30]], [[0, 0, 10, 20]]]
    assert [[(face.score, face.landmarks) for face in faces] for faces in found] == [[(1.0, None)]] * 2
