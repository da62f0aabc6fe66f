import numpy as np

from eri.media.faces.registry import WholeImage


def test_the_whole_image_is_the_face() -> None:
    images = [np.zeros((30, 50, 3), dtype=np.uint8), np.zeros((20, 10, 3), dtype=np.uint8)]
    found = WholeImage().detect(images, size=64)
    assert [[face.box.tolist() for face in faces] for faces in found] == [[[0, 0, 50, 30]], [[0, 0, 10, 20]]]
    assert [[(face.score, face.landmarks) for face in faces] for faces in found] == [[(1.0, None)]] * 2
