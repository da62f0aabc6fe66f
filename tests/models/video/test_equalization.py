"""CLAHE on the luminance, and greys."""

from __future__ import annotations

import cv2
import numpy as np

from eri.models.video.cnn3d import equalize_luminance, remove_colour


def pictures(rows: int = 3, side: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(20, 90, (rows, side, side, 3)).astype(np.uint8)


def test_grey_pictures_are_opencvs_clahe_and_stay_grey():
    grey = np.repeat(pictures()[..., :1], 3, axis=3)
    found = equalize_luminance(grey)
    reference = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
    for one, picture in zip(found, grey, strict=True):
        assert (one == one[..., :1]).all()
        np.testing.assert_array_equal(one[..., 0], reference.apply(np.ascontiguousarray(picture[..., 0])))


def test_each_picture_is_equalised_by_itself():
    several = pictures()
    alone = np.concatenate([equalize_luminance(several[row : row + 1]) for row in range(3)])
    np.testing.assert_array_equal(equalize_luminance(several), alone)


def test_contrast_grows_and_the_input_stays():
    given = pictures()
    kept = given.copy()
    assert equalize_luminance(given).astype(float).std() > 1.3 * given.astype(float).std()
    np.testing.assert_array_equal(given, kept)


def test_no_pictures_are_no_pictures():
    none = pictures()[:0]
    assert equalize_luminance(none).shape == remove_colour(none).shape == none.shape


def test_greys_are_the_luminance():
    grey = remove_colour(pictures())
    assert (grey == grey[..., :1]).all()
    weights = pictures().astype(float) @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(grey[..., 0], weights, atol=0.51)
