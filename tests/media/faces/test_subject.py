import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eri.media.faces.detection import Detection, centres
from eri.media.faces.subject import Track, Trajectory, fill, find_subject, link, smooth
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


def track_of(**rows: Detection) -> Track:
    return Track(tuple(int(name[1:]) for name in rows), tuple(rows.values()))


def test_two_moving_faces_stay_apart_whatever_their_order() -> None:
    found = {}
    for row in range(6):
        faces = [face_at(100 + 10 * row), face_at(200 - 5 * row, side=40)]
        found[row] = faces if row % 2 else faces[::-1]
    first, second = link(found)
    assert first.rows == second.rows == tuple(range(6))
    assert [float(centres(face.box)[0]) for face in first.detections] == [100, 110, 120, 130, 140, 150]
    assert [float(centres(face.box)[0]) for face in second.detections] == [200, 195, 190, 185, 180, 175]


def test_a_face_that_is_missed_for_a_while_continues_its_track() -> None:
    tracks = link({0: [face_at(100)], 4: [], 8: [face_at(110)]})
    assert [track.rows for track in tracks] == [(0, 8)]


def test_a_face_far_away_or_of_another_size_is_another() -> None:
    assert len(link({0: [face_at(100)], 1: [face_at(150)]})) == 2
    assert len(link({0: [face_at(100, side=50)], 1: [face_at(100, side=110)]})) == 2
    assert len(link({0: [face_at(100, side=50)], 1: [face_at(130, side=60)]})) == 1


def test_tracks_come_in_order_of_appearance_then_from_left_to_right() -> None:
    tracks = link({3: [face_at(300), face_at(50)], 1: [face_at(600)]})
    assert [(track.rows[0], float(centres(track.detections[0].box)[0])) for track in tracks] == [
        (1, 600),
        (3, 50),
        (3, 300),
    ]


def test_filling_is_linear_in_time_not_in_frames() -> None:
    times = np.array([0.0, 0.1, 0.9, 1.0])
    path = fill(track_of(r0=face_at(100, score=1.0), r3=face_at(200, score=2.0)), [0, 3], times)
    np.testing.assert_allclose(centres(path.boxes)[:, 0], [100, 110, 190, 200])
    np.testing.assert_allclose(path.scores, [1.0, 1.1, 1.9, 2.0])
    assert path.present.all()
    assert np.isnan(path.landmarks).all()


def test_frames_at_the_same_time_get_a_box_each() -> None:
    path = fill(track_of(r0=face_at(100), r2=face_at(100)), [0, 2], np.zeros(3))
    np.testing.assert_array_equal(path.boxes, np.stack([face_at(100).box] * 3))


def test_nothing_is_filled_before_the_first_and_after_the_last_detection() -> None:
    path = fill(track_of(r1=face_at(100), r2=face_at(100)), range(4), np.arange(4.0))
    assert path.present.tolist() == [False, True, True, False]
    assert np.isnan(path.boxes[[0, 3]]).all()


def test_a_long_search_in_vain_is_an_absence_a_short_one_an_oversight() -> None:
    track = track_of(r0=face_at(100), r2=face_at(100))
    assert fill(track, [0, 1, 2], np.array([0.0, 0.4, 0.8])).present.all()
    assert fill(track, [0, 1, 2], np.array([0.0, 2.0, 4.0])).present.tolist() == [True, False, True]
    assert fill(track, [0, 2], np.array([0.0, 2.0, 4.0])).present.all()


def test_landmarks_are_filled_where_both_sides_have_them() -> None:
    points = np.arange(10.0).reshape(5, 2)
    with_points = Detection(face_at(100).box, 1.0, points)
    path = fill(track_of(r0=with_points, r2=Detection(face_at(100).box, 1.0, points + 2)), [0, 2], np.arange(3.0))
    np.testing.assert_allclose(path.landmarks[1], points + 1)
    path = fill(track_of(r0=with_points, r2=face_at(100)), [0, 2], np.arange(3.0))
    assert np.isnan(path.landmarks[1]).all()
    assert path.present.all()


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 400), st.integers(20, 90)), max_size=4).map(
            lambda faces: [face_at(x, side=side) for x, side in faces]
        ),
        min_size=1,
        max_size=8,
    )
)
def test_every_detection_is_in_exactly_one_track(frames: list[list[Detection]]) -> None:
    tracks = link(dict(enumerate(frames)))
    linked = [(row, id(face)) for track in tracks for row, face in zip(track.rows, track.detections, strict=True)]
    assert sorted(linked) == sorted((row, id(face)) for row, faces in enumerate(frames) for face in faces)
    assert all(list(track.rows) == sorted(set(track.rows)) for track in tracks)
