import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eri.media.faces.alignment import TEMPLATE, crop_transform, fit_similarity, warp
from tests.media.faces.scenes import Face


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
