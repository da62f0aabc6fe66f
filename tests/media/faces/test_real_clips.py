"""Real clips beside the repository: what both detectors find, and how well they agree."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from eri.config import FaceConfig
from eri.media.faces import Crops, crop_faces
from eri.media.faces.detection import overlap
from eri.media.state import State
from eri.media.video import read_frames

SHARED = Path(__file__).parents[3].parent / "shared"
CLIPS = SHARED / "media" / "clips"
WEIGHTS = SHARED / "weights" / "retinaface_mobilenet0.25.pth"
NAMES = sorted(path.name for path in CLIPS.glob("*")) if CLIPS.is_dir() else []

pytestmark = pytest.mark.skipif(
    not (NAMES and WEIGHTS.is_file()), reason="needs the real clips and weights in ../shared, which are not there"
)


@cache
def crops_of(name: str, detector: str, every: int = 4) -> Crops:
    settings: dict[str, object] = {"detector": detector, "every": every}
    if detector == "retinaface":
        settings |= {"backbone": "mobilenet0.25", "weights": str(WEIGHTS)}
    return crop_faces(read_frames(CLIPS / name, 16), FaceConfig.model_validate(settings), 64)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_both_detectors_see_the_same_face_in_the_same_frames(name: str) -> None:
    dlib, retinaface = crops_of(name, "dlib"), crops_of(name, "retinaface")
    np.testing.assert_array_equal(dlib.states, retinaface.states)
    valid = dlib.states == State.VALID
    expected = {"no_face.mp4": 0, "face_noface.mov": 6, "noface_face.mov": 6}.get(name, 16)
    assert valid.sum() == expected
    if valid.any():
        # dlib frames a square from brows to chin, RetinaFace forehead to chin and ear to ear: about 0.7 at best.
        shared = overlap(dlib.boxes[valid].astype(float), retinaface.boxes[valid].astype(float))
        assert np.median(shared) > 0.6
        assert shared.min() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["face_noface.mov", "noface_face.mov"])
@pytest.mark.parametrize("detector", ["dlib", "retinaface"])
def test_a_face_leaves_and_enters_at_the_frame_that_a_search_of_all_frames_gives(name: str, detector: str) -> None:
    np.testing.assert_array_equal(crops_of(name, detector).states, crops_of(name, detector, every=1).states)
