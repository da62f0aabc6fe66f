from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dlib
import numpy as np
import pytest

from eri.media.faces.detection import overlap
from eri.media.faces.dlib_hog import DlibDetector
from eri.utils.errors import WeightsError
from tests.media.faces.scenes import Face, scene

FACES = [Face(160, 120, 90), Face(100, 110, 90), Face(160, 120, 120), Face(160, 120, 70), Face(160, 120, 90, -20)]


@pytest.fixture(scope="module")
def detector() -> DlibDetector:
    return DlibDetector(size=320)


def train_predictor(path: Path, count: int) -> Path:
    """Train a shape predictor of ``count`` points on a few scenes, and save it as dlib does."""
    images, truths = [], []
    for x, side, angle in [(150, 80, 0), (170, 90, 10), (160, 100, -10), (140, 70, 20), (180, 95, -20), (160, 85, 5)]:
        face = Face(x, 120, side, angle)
        images.append(scene(face))
        points = all_points(face, count)
        left, top, right, bottom = np.round(face.box).astype(int)
        parts = dlib.points([dlib.point(*point) for point in np.round(points - 0.5).astype(int).tolist()])
        truths.append([dlib.full_object_detection(dlib.rectangle(left, top, right - 1, bottom - 1), parts)])
    options = dlib.shape_predictor_training_options()
    options.cascade_depth, options.tree_depth, options.num_trees_per_cascade_level = 6, 3, 30
    options.oversampling_amount, options.feature_pool_size, options.num_test_splits = 30, 100, 10
    options.num_threads, options.random_seed = 1, "0"
    dlib.train_shape_predictor(images, truths, options).save(str(path))
    return path


def all_points(face: Face, count: int) -> np.ndarray:
    """Return the points of dlib's 5-point or 68-point scheme, those that matter in their true places."""
    eye_left, eye_right, tip, mouth_left, mouth_right = face.landmarks
    middle = (eye_left + eye_right) / 2
    across = (eye_right - eye_left) / 6
    if count == 5:
        base = middle + (tip - middle) / 0.75
        return np.stack([eye_right + across, eye_right - across, eye_left - across, eye_left + across, base])
    points = np.tile(middle, (count, 1))
    if count == 68:
        points[36:42], points[42:48] = eye_left, eye_right
        points[30], points[48], points[54] = tip, mouth_left, mouth_right
    return points


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_predictor(tmp_path_factory.mktemp("predictor") / "five.dat", 5)


@pytest.mark.parametrize("face", FACES)
def test_a_face_is_found_where_it_is(detector: DlibDetector, face: Face) -> None:
    (found,) = detector.detect([scene(face)])[0]
    assert overlap(found.box, face.box) > 0.7
    assert found.score > 0
    assert found.landmarks is None


def test_the_box_is_in_pixels_of_the_original_whatever_the_size_searched(detector: DlibDetector) -> None:
    face = Face(640, 400, 300)
    image = scene(face, width=1280, height=800)
    for size in (320, 640):
        (found,) = detector.detect([image], size=size)[0]
        assert overlap(found.box, face.box) > 0.7


def test_a_small_face_needs_a_larger_search(detector: DlibDetector) -> None:
    face = Face(640, 300, 60)
    image = scene(face, width=1280, height=720)
    assert detector.detect([image]) == [[]]
    (found,) = detector.detect([image], size=1280)[0]
    assert overlap(found.box, face.box) > 0.6


def test_several_faces_come_surest_first_and_the_threshold_cuts(detector: DlibDetector) -> None:
    image = scene(Face(90, 100, 90), Face(240, 110, 60))
    scores = [face.score for face in detector.detect([image], size=640)[0]]
    assert len(scores) == 2
    assert scores[0] > scores[1]
    strict = DlibDetector(size=640, threshold=(scores[0] + scores[1]) / 2)
    assert [face.score for face in strict.detect([image])[0]] == scores[:1]


def test_a_image_without_a_face_gives_none(detector: DlibDetector) -> None:
    assert detector.detect([scene()], size=640) == [[]]
    assert detector.detect([]) == []


def test_images_do_not_influence_each_other(detector: DlibDetector) -> None:
    images = [scene(face) for face in FACES] + [scene()]
    alone = [detector.detect([image])[0] for image in images]
    for together, one in zip(detector.detect(images), alone, strict=True):
        np.testing.assert_array_equal([face.box for face in together], [face.box for face in one])


@pytest.mark.slow
def test_threads_may_share_a_detector(detector: DlibDetector) -> None:
    images = [scene(face) for face in FACES] * 4
    expected = [detector.detect([image])[0][0].box for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda image: detector.detect([image])[0][0].box, images))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("count", [5, 68])
def test_a_shape_predictor_gives_the_landmarks(tmp_path: Path, count: int) -> None:
    detector = DlibDetector(size=320, landmarks=train_predictor(tmp_path / "shape.dat", count))
    face = Face(165, 120, 88, 8)
    (found,) = detector.detect([scene(face)])[0]
    assert found.landmarks is not None
    known = 3 if count == 5 else 5
    assert np.isnan(found.landmarks[known:]).all()
    assert np.linalg.norm(found.landmarks[:known] - face.landmarks[:known], axis=1).max() < 0.12 * face.side


def test_a_missing_shape_predictor_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.dat: no such shape predictor(?s:.*)faces\.landmarks"):
        DlibDetector(size=320, landmarks=tmp_path / "none.dat")


@pytest.mark.parametrize("damage", ["text", "empty", "cut"])
def test_a_broken_shape_predictor_is_refused(tmp_path: Path, predictor: Path, damage: str) -> None:
    path = tmp_path / "broken.dat"
    content = {"text": b"not a predictor" * 99, "empty": b"", "cut": predictor.read_bytes()[:-100]}[damage]
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"broken\.dat: not a dlib shape predictor, or damaged"):
        DlibDetector(size=320, landmarks=path)


def test_a_shape_predictor_of_other_points_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="a shape predictor of 7 points; 5 or 68"):
        DlibDetector(size=320, landmarks=train_predictor(tmp_path / "seven.dat", 7))
