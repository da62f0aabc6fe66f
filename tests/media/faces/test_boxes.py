import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eri.media.faces.detection import areas, centres, overlap

numbers = st.integers(0, 12)


@st.composite
def boxes(draw: st.DrawFn) -> np.ndarray:
    x, y = draw(numbers), draw(numbers)
    return np.array([x, y, x + draw(st.integers(1, 8)), y + draw(st.integers(1, 8))], dtype=np.float64)


def paint(box: np.ndarray) -> np.ndarray:
    canvas = np.zeros((24, 24), dtype=bool)
    x0, y0, x1, y1 = box.astype(int)
    canvas[y0:y1, x0:x1] = True
    return canvas


@given(boxes(), boxes())
def test_overlap_is_shared_pixels_over_all_pixels(first: np.ndarray, second: np.ndarray) -> None:
    shared = (paint(first) & paint(second)).sum() / (paint(first) | paint(second)).sum()
    assert overlap(first, second) == shared
    assert overlap(second, first) == shared


def test_boxes_broadcast_and_nan_stays_nan() -> None:
    first = np.array([[0.0, 0, 2, 2], [np.nan] * 4])
    shared = overlap(first[:, None], np.array([[0.0, 0, 2, 2], [5, 5, 6, 6]]))
    np.testing.assert_array_equal(shared, [[1, 0], [np.nan, np.nan]])


def test_an_empty_box_overlaps_nothing() -> None:
    point = np.array([1.0, 1, 1, 1])
    assert areas(point) == 0
    assert overlap(point, point) == 0
    assert centres(point).tolist() == [1, 1]
