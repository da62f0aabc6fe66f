from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eri.config import FaceConfig
from eri.media.faces import Crops, Detection, crop_faces
from eri.media.faces.crops import TEMPLATE, crop_transform, fit_similarity, is_black, warp
from eri.media.faces.detection import Image, overlap
from eri.media.state import State
from eri.media.video import FrameSequence
from tests.media.faces.scenes import Face, clip, scene

DLIB = FaceConfig()
BLACK = np.full((240, 320, 3), 12, dtype=np.uint8)


class Exact:
    """A detector that is told every face, image by image in the order of the clip."""

    def __init__(self, images: Sequence[Image], faces: Sequence[Face], *, landmarks: bool) -> None:
        self._known = [
            (image, Detection(face.box, 1.0, face.landmarks if landmarks else None))
            for image, face in zip(images, faces, strict=True)
        ]

    def detect(self, images: Sequence[Image], *, size: int | None = None) -> list[list[Detection]]:
        return [[found for known, found in self._known if np.array_equal(known, image)][:1] for image in images]


def crop_exactly(monkeypatch: pytest.MonkeyPatch, faces: Sequence[Face], *, landmarks: bool, every: int = 1) -> Crops:
    images = [scene(face) for face in faces]
    exact = Exact(images, faces, landmarks=landmarks)
    monkeypatch.setattr("eri.media.faces.crops.create_detector", lambda config, device: exact)
    return crop_faces(clip(images), FaceConfig(every=every, margin=0.1), 96)


def test_a_moving_face_is_found_in_every_frame_where_it_is() -> None:
    faces = [Face(110 + 5 * row, 120 - row, 80 + 0.5 * row) for row in range(17)]
    crops = crop_faces(clip([scene(face) for face in faces]), DLIB, 64)
    assert crops.images.shape == (17, 64, 64, 3)
    assert crops.images.dtype == np.uint8
    assert (crops.states == State.VALID).all()
    assert overlap(crops.boxes.astype(float), np.stack([face.box for face in faces])).min() > 0.65
    assert (crops.scores > 0).all()


def test_rows_without_a_face_and_black_rows_carry_their_state() -> None:
    face, empty = scene(Face(160, 120, 90)), scene()
    images = [BLACK] * 2 + [empty] * 3 + [face] * 9 + [BLACK] + [face] * 2 + [empty] * 6
    crops = crop_faces(clip(images), DLIB, 48)
    expected = [State.BLACK_FRAME] * 2 + [State.NO_FACE] * 3 + [State.VALID] * 9 + [State.BLACK_FRAME]
    expected += [State.VALID] * 2 + [State.NO_FACE] * 6
    assert crops.states.tolist() == expected
    valid = crops.states == State.VALID
    assert len(crops.images) == valid.sum() == 11
    assert np.isfinite(crops.boxes[valid]).all()
    assert np.isnan(crops.boxes[~valid]).all()
    assert np.isnan(crops.scores[~valid]).all()


@pytest.mark.parametrize(("image", "state"), [(BLACK, State.BLACK_FRAME), (scene(), State.NO_FACE)])
def test_a_clip_without_any_face_gives_no_images(image: Image, state: State) -> None:
    crops = crop_faces(clip([image] * 5), DLIB, 48)
    assert crops.images.shape == (0, 48, 48, 3)
    assert crops.states.tolist() == [state] * 5


def test_a_small_face_in_a_large_image_is_found_at_full_size() -> None:
    faces = [Face(600 + 8 * row, 300, 60) for row in range(5)]
    crops = crop_faces(clip([scene(face, width=1280, height=720) for face in faces]), DLIB, 48)
    assert (crops.states == State.VALID).all()
    assert overlap(crops.boxes.astype(float), np.stack([face.box for face in faces])).min() > 0.55


def test_a_clip_of_one_frame_and_a_frame_repeated_agree() -> None:
    image = scene(Face(150, 110, 85))
    once = crop_faces(clip([image]), DLIB, 64)
    often = crop_faces(FrameSequence(np.zeros(6), np.stack([image] * 6)), DLIB, 64)
    assert (often.images == once.images).all()
    assert len(often.images) == 6


def test_the_same_clip_gives_the_same_bits() -> None:
    frames = clip([scene(Face(120 + 6 * row, 115, 80)) for row in range(9)])
    first, second = (crop_faces(frames, DLIB, 64) for _ in range(2))
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.boxes, second.boxes)


def test_the_larger_of_two_faces_is_the_subject_throughout() -> None:
    faces = [(Face(90 + row, 110, 95), Face(250 - row, 120, 60)) for row in range(9)]
    crops = crop_faces(clip([scene(*pair) for pair in faces]), DLIB, 64)
    assert overlap(crops.boxes.astype(float), np.stack([large.box for large, _ in faces])).min() > 0.65


def test_crops_do_not_show_where_the_face_was_nor_how_large(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = [Face(120 + 10 * row, 110 + 2 * row, 80 + row) for row in range(9)]
    images = crop_exactly(monkeypatch, faces, landmarks=False, every=4).images.astype(float)
    assert np.abs(images[1:] - images[:-1]).mean(axis=(1, 2, 3)).max() < 4


@pytest.mark.parametrize("align", [True, False])
def test_landmarks_turn_the_face_upright_when_asked(monkeypatch: pytest.MonkeyPatch, align: bool) -> None:
    images = [scene(Face(160, 120, 85, angle)) for angle in (0, 40)]
    results = []
    for image, angle in zip(images, (0, 40), strict=True):
        exact = Exact([image], [Face(160, 120, 85, angle)], landmarks=True)
        monkeypatch.setattr("eri.media.faces.crops.create_detector", lambda config, device, exact=exact: exact)
        # Without a margin no background shows, which turns with the crop.
        results.append(crop_faces(clip([image]), FaceConfig(align=align, margin=0.0), 96).images[0].astype(float))
    difference = np.abs(results[0] - results[1]).mean()
    assert difference < 4 if align else difference > 20


def test_beyond_the_edge_of_the_frame_the_crop_is_black() -> None:
    crops = crop_faces(clip([scene(Face(300, 120, 90))] * 2), DLIB, 90)
    assert (crops.images[:, :, -10:] == 0).all()
    assert crops.images[:, :, :45].any(axis=(1, 3)).all()


def test_no_detector_centres_the_whole_frame_between_black_bars() -> None:
    images = [scene(Face(60, 40, 50), width=120, height=80) for _ in range(3)]
    crops = crop_faces(clip([*images, np.zeros_like(images[0])]), FaceConfig(detector="none", margin=0.5), 120)
    assert crops.states.tolist() == [State.VALID] * 3 + [State.BLACK_FRAME]
    assert crops.boxes[:3].tolist() == [[0, 0, 120, 80]] * 3
    np.testing.assert_array_equal(crops.images[:, 20:100], images)
    assert (crops.images[:, :20] == 0).all()
    assert (crops.images[:, 100:] == 0).all()


def test_noise_of_a_dark_camera_is_black_and_a_dim_face_is_not() -> None:
    generator = np.random.default_rng(0)
    assert is_black(generator.integers(0, 18, (90, 120, 3), dtype=np.uint8))
    dim = scene(Face(160, 120, 90)) // 4
    assert not is_black(dim)
    assert (crop_faces(clip([dim] * 2), DLIB, 32).states == State.VALID).all()


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def apply(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray(points @ transform[:, :2].T + transform[:, 2])


@given(st.floats(0.1, 10), st.floats(-3, 3), st.floats(-500, 500), st.floats(-500, 500))
def test_a_similarity_is_recovered_from_the_points_it_moved(scale: float, angle: float, x: float, y: float) -> None:
    turn = scale * np.exp(1j * angle)
    matrix = np.array([[turn.real, -turn.imag, x], [turn.imag, turn.real, y]])
    np.testing.assert_allclose(fit_similarity(TEMPLATE, apply(matrix, TEMPLATE)), matrix, atol=1e-6)


def test_the_fit_is_the_best_in_the_least_squares_sense() -> None:
    generator = np.random.default_rng(1)
    target = TEMPLATE + generator.normal(0, 5, TEMPLATE.shape)
    best = fit_similarity(TEMPLATE, target)

    def loss(a: float, b: float, x: float, y: float) -> float:
        matrix = np.array([[a, -b, x], [b, a, y]])
        return float(((apply(matrix, TEMPLATE) - target) ** 2).sum())

    parameters = np.array([best[0, 0], best[1, 0], best[0, 2], best[1, 2]])
    lowest = loss(*parameters)
    for _ in range(50):
        assert loss(*(parameters + generator.normal(0, [0.02, 0.02, 1, 1]))) > lowest


def test_a_box_without_margin_is_cut_pixel_by_pixel() -> None:
    image = noise(60, 80)
    transform = crop_transform(np.array([10.0, 20, 42, 52]), None, margin=0, side=32)
    np.testing.assert_array_equal(warp(image, transform, 32), image[20:52, 10:42])


def test_a_box_that_is_not_square_keeps_its_shape() -> None:
    image = noise(60, 80)
    transform = crop_transform(np.array([10.0, 20, 42, 36]), None, margin=0, side=32)
    np.testing.assert_array_equal(warp(image, transform, 32), image[12:44, 10:42])


def test_the_margin_is_a_share_of_the_box_on_each_side() -> None:
    transform = crop_transform(np.array([10.0, 20, 20, 30]), None, margin=0.5, side=100)
    np.testing.assert_allclose(apply(transform, np.array([[5.0, 15], [25, 35]])), [[0, 0], [100, 100]])


def test_beyond_the_edge_is_black() -> None:
    image = np.full((40, 40, 3), 200, dtype=np.uint8)
    crop = warp(image, crop_transform(np.array([-10.0, -10, 30, 30]), None, margin=0, side=40), 40)
    assert (crop[:10] == 0).all()
    assert (crop[:, :10] == 0).all()
    assert (crop[10:, 10:] == 200).all()


@pytest.mark.parametrize("angle", [0, 25, -140])
def test_landmarks_come_to_the_template_whatever_the_turn(angle: float) -> None:
    face = Face(200, 150, 80, angle)
    side, margin = 224, 0.25
    moved = apply(crop_transform(face.box, face.landmarks, margin=margin, side=side), face.landmarks)
    inside = (moved / side - 0.5) * (1 + 2 * margin) + 0.5
    # The portrait is no average face: its landmarks come near the template's, and upright.
    assert np.abs(inside - TEMPLATE / 112).max() < 0.06
    assert abs(inside[0, 1] - inside[1, 1]) < 0.06


def test_unknown_points_are_left_out_of_the_fit() -> None:
    landmarks = 2 * TEMPLATE + 7
    landmarks[3:] = np.nan
    transform = crop_transform(np.array([7.0, 7, 231, 231]), landmarks, margin=0, side=112)
    np.testing.assert_allclose(apply(transform, 2 * TEMPLATE + 7), TEMPLATE, atol=1e-9)


@pytest.mark.parametrize("eye", [np.nan, 1.0])
def test_without_two_different_eyes_the_box_is_cut_upright(eye: float) -> None:
    box = np.array([10.0, 20, 42, 52])
    landmarks = np.full((5, 2), eye)
    np.testing.assert_array_equal(
        crop_transform(box, landmarks, margin=0.2, side=64), crop_transform(box, None, margin=0.2, side=64)
    )


@pytest.mark.parametrize("share", [0.4, 2.0])
def test_landmarks_that_contradict_the_box_are_not_followed(share: float) -> None:
    box = np.array([0.0, 0, 112, 112])
    landmarks = share * TEMPLATE
    np.testing.assert_array_equal(
        crop_transform(box, landmarks, margin=0.2, side=64), crop_transform(box, None, margin=0.2, side=64)
    )


def test_a_quarter_turn_is_exact() -> None:
    image = noise(32, 32)
    quarter = np.array([[0.0, -1, 32], [1, 0, 0]])
    np.testing.assert_array_equal(warp(image, quarter, 32), np.rot90(image, -1))


def test_strong_shrinking_averages_instead_of_aliasing() -> None:
    rows, columns = np.mgrid[0:600, 0:600]
    board = np.repeat((255 * ((rows + columns) % 2)).astype(np.uint8)[..., None], 3, axis=2)
    crop = warp(board, crop_transform(np.array([37.0, 41, 537, 541]), None, margin=0, side=50), 50)
    assert np.abs(crop[1:-1, 1:-1].astype(int) - 127).max() <= 3


@pytest.mark.parametrize("angle", [0.0, 30.0])
@pytest.mark.parametrize("scale", [0.1, 0.3, 0.6, 1.0, 2.0])
def test_a_spot_lands_where_the_transform_says(scale: float, angle: float) -> None:
    image = np.zeros((400, 500, 3), dtype=np.uint8)
    spot = np.array([260.0, 190.0])
    cv2.circle(image, (int(spot[0] * 16 - 8), int(spot[1] * 16 - 8)), 12 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
    turn = scale * np.exp(1j * np.deg2rad(angle))
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    wanted = np.array([30.3, 35.6])
    crop = warp(image, np.column_stack([linear, wanted - linear @ spot]), 64)[..., 0].astype(float)
    rows, columns = np.mgrid[0:64, 0:64] + 0.5
    found = np.array([(columns * crop).sum(), (rows * crop).sum()]) / crop.sum()
    np.testing.assert_allclose(found, wanted, atol=0.1)
