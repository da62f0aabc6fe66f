import numpy as np
import pytest

from eri.media.faces.detection import Detection, centres
from eri.media.faces.subject import find_subject, smooth
from eri.media.faces.tracking import Trajectory
from tests.media.faces.scenes import Oracle, face_at, numbered


def find(oracle: Oracle, *, every: int = 4, seconds: float = 10.0) -> Trajectory | None:
    count = len(oracle.faces)
    times = (np.arange(count) + 0.5) * seconds / count
    return find_subject(numbered(count), times, oracle, every=every, size=160)


def found(oracle: Oracle, *, every: int = 4, seconds: float = 10.0) -> Trajectory:
    path = find(oracle, every=every, seconds=seconds)
    assert path is not None
    return path


def test_only_every_kth_frame_and_the_last_are_searched_while_the_face_stays() -> None:
    oracle = Oracle([[face_at(100 + row)] for row in range(11)])
    path = found(oracle)
    assert [row for row, _ in oracle.asked] == [0, 4, 8, 10]
    np.testing.assert_allclose(centres(path.boxes)[:, 0], 100 + np.arange(11))


def test_a_face_enters_and_leaves_at_the_right_frame() -> None:
    for start in range(12):
        for end in range(start + 1, 13):
            oracle = Oracle([[face_at(100)] if start <= row < end else [] for row in range(12)])
            path = find(oracle, every=4)
            # A stay between two searched frames cannot be seen.
            if any(row in range(start, end) for row in (0, 4, 8, 11)):
                assert path is not None
                assert np.flatnonzero(path.present).tolist() == list(range(start, end))


def test_no_frame_is_searched_twice_at_the_same_size() -> None:
    oracle = Oracle([[face_at(100)] if row in range(3, 14) else [] for row in range(20)])
    found(oracle)
    assert len(oracle.asked) == len(set(oracle.asked))


def test_a_frame_without_a_face_is_searched_again_at_full_size() -> None:
    oracle = Oracle([[face_at(100)]] * 9, smallest=[0, 0, 0, 0, 320, 0, 0, 0, 0])
    assert found(oracle).present.all()
    assert (4, 320) in oracle.asked
    assert (0, 320) not in oracle.asked


def test_a_clip_without_a_face_is_searched_enlarged_before_it_is_given_up() -> None:
    oracle = Oracle([[]] * 9)
    assert find(oracle) is None
    assert oracle.asked == [(row, size) for size in (160, 320, 640) for row in (0, 4, 8)]


def test_small_faces_are_found_enlarged_and_followed_to_the_right_frame() -> None:
    oracle = Oracle([[face_at(100, side=20)] if row < 6 else [] for row in range(9)], smallest=[640] * 9)
    assert np.flatnonzero(found(oracle).present).tolist() == list(range(6))


def test_the_subject_is_the_face_with_the_most_area_times_score() -> None:
    small_sure, large_unsure = face_at(50, side=40, score=3.0), face_at(250, side=60, score=1.0)
    assert centres(found(Oracle([[small_sure, large_unsure]] * 5)).boxes)[0, 0] == 50
    large_sure = face_at(250, side=60, score=2.0)
    assert centres(found(Oracle([[small_sure, large_sure]] * 5)).boxes)[0, 0] == 250


def test_staying_longer_outweighs_being_larger() -> None:
    passer, host = face_at(250, side=60), face_at(50, side=50)
    oracle = Oracle([[host, passer] if row < 4 else [host] for row in range(12)])
    assert centres(found(oracle).boxes)[0, 0] == 50


def test_frames_searched_in_vain_count_nothing() -> None:
    # A printed face is larger and carried through its gaps, but found in every second searched frame only.
    face, print_ = face_at(50, side=40), face_at(250, side=52)
    oracle = Oracle([[face, print_] if row % 8 == 0 else [face] for row in range(33)])
    assert centres(found(oracle, seconds=3.0).boxes)[0, 0] == 50


def test_of_equal_faces_the_earlier_then_the_further_left_is_chosen() -> None:
    left, right = face_at(50), face_at(250)
    late_left = Oracle([[right] if row < 4 else [left] for row in range(8)])
    assert centres(found(late_left, every=1).boxes)[0, 0] == 250
    for faces in ([left, right], [right, left]):
        assert centres(found(Oracle([faces] * 4)).boxes)[0, 0] == 50


def trajectory(values: np.ndarray) -> Trajectory:
    boxes = np.stack([np.full(4, np.nan) if np.isnan(x) else face_at(float(x)).box for x in values])
    return Trajectory(boxes, np.where(np.isnan(values), np.nan, 1.0), np.full((len(values), 5, 2), np.nan))


def test_smoothing_keeps_a_still_face_to_the_bit() -> None:
    path = trajectory(np.full(7, 100.1))
    np.testing.assert_array_equal(smooth(path).boxes, path.boxes)


@pytest.mark.parametrize("rows", [1, 2, 3, 15])
def test_smoothing_keeps_steady_motion_to_the_ends(rows: int) -> None:
    path = trajectory(100 + 5.0 * np.arange(rows))
    np.testing.assert_allclose(smooth(path).boxes, path.boxes, atol=1e-9)


def test_smoothing_damps_jitter_of_place_and_of_size() -> None:
    generator = np.random.default_rng(0)
    boxes = np.stack([face_at(100 + x, side=50 + side).box for x, side in generator.normal(0, 4, (60, 2))])
    path = smooth(Trajectory(boxes, np.ones(60), np.full((60, 5, 2), np.nan)))
    widths = path.boxes[:, 2] - path.boxes[:, 0]
    assert np.diff(centres(path.boxes)[:, 0]).std() < 0.5 * np.diff(centres(boxes)[:, 0]).std()
    assert np.diff(widths).std() < 0.2 * np.diff(boxes[:, 2] - boxes[:, 0]).std()


def test_smoothing_does_not_reach_across_an_absence() -> None:
    before, after = np.full(4, 100.0), np.full(4, 180.0)
    path = smooth(trajectory(np.concatenate([before, [np.nan, np.nan], after])))
    np.testing.assert_array_equal(path.present, [True] * 4 + [False] * 2 + [True] * 4)
    np.testing.assert_array_equal(path.boxes[:4], [face_at(100).box] * 4)
    np.testing.assert_array_equal(path.boxes[6:], [face_at(180).box] * 4)


def test_landmarks_are_smoothed_with_the_centre() -> None:
    points = np.zeros((9, 5, 2))
    points[4] = 10
    faces = [[Detection(face_at(100).box, 1.0, row)] for row in points]
    path = smooth(found(Oracle(faces), every=1))
    assert 0 < path.landmarks[3].max() < path.landmarks[4].max() < 10
