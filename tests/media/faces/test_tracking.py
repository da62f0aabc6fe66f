import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from eri.media.faces.detection import Detection, centres
from eri.media.faces.tracking import Track, fill, link
from tests.media.faces.scenes import face_at


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
