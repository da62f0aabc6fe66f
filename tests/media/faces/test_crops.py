from collections.abc import Sequence

import numpy as np
import pytest

from eri.config import FaceConfig
from eri.media.faces import Crops, Detection, crop_faces
from eri.media.faces.crops import is_black
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
