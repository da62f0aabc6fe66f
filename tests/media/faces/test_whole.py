import numpy as np

from eri.media.faces.registry import WholePicture


def test_the_whole_picture_is_the_face() -> None:
    pictures = [np.zeros((30, 50, 3), dtype=np.uint8), np.zeros((20, 10, 3), dtype=np.uint8)]
    found = WholePicture().detect(pictures, size=64)
    assert [[face.box.tolist() for face in faces] for faces in found] == [[[0, 0, 50, 30]], [[0, 0, 10, 20]]]
    assert [[(face.score, face.landmarks) for face in faces] for faces in found] == [[(1.0, None)]] * 2
