"""Putting decoded images of any orientation, pixel shape and size into one array."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from numpy.typing import NDArray


class Orientation(NamedTuple):
    """How a stored frame is shown: rotated first (clockwise degrees: 0, 90, 180 or 270), mirrored left-right second."""

    rotation: int = 0
    mirrored: bool = False

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image, (height, width, channels), as it is to be shown; a view.

        Examples:
            >>> image = np.array([[[1], [2]], [[3], [4]]], dtype=np.uint8)
            >>> Orientation(90, mirrored=True).apply(image)[..., 0].tolist()
            [[1, 3], [2, 4]]
        """
        rotated = np.rot90(image, -self.rotation // 90)
        return rotated[:, ::-1] if self.mirrored else rotated


def frame_orientation(frame: VideoFrame) -> Orientation:
    """Return the orientation that a decoded frame's display matrix asks for."""
    try:
        entries: Iterable[Any] = frame.side_data  # the stub knows motion vectors only
    except ValueError:  # side data of a kind that PyAV does not know hides all other: Apple's spatial video has some
        return Orientation(-round(frame.rotation / 90) * 90 % 360)
    matrices = [entry for entry in entries if entry.type is Type.DISPLAYMATRIX]
    if not matrices:
        return Orientation()
    matrix = np.frombuffer(bytes(matrices[0]), dtype=np.int32)
    return matrix_orientation(int(matrix[0]), int(matrix[1]), int(matrix[3]), int(matrix[4]))


def matrix_orientation(a: int, b: int, c: int, d: int) -> Orientation:
    """Return the orientation nearest to a matrix that maps (x, y) to (a·x + c·y, b·x + d·y) (ISO/IEC 14496-12, 8.3.2).

    Examples:
        >>> matrix_orientation(0, 65536, -65536, 0)
        Orientation(rotation=90, mirrored=False)
        >>> matrix_orientation(-65536, 0, 0, 65536)
        Orientation(rotation=0, mirrored=True)
    """
    mirrored = a * d - b * c < 0
    if mirrored:  # take the mirror, which comes last, off again
        a, c = -a, -c
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(0 if a + d >= 0 else 180, mirrored)
    return Orientation(90 if b - c > 0 else 270, mirrored)


class Canvas:
    """The chosen images of one clip, converted one by one; ``filled`` of ``images`` (count, height, width, 3) are set.

    The first image's size becomes the size of all; a later one of another size is fitted into it.
    """

    def __init__(self, count: int, max_side: int | None, pixel_aspect: float = 1.0) -> None:
        self.images: NDArray[np.uint8] = np.empty((count, 0, 0, 3), dtype=np.uint8)
        self.filled = 0
        self._max_side, self._pixel_aspect = max_side, pixel_aspect
        self._latest: VideoFrame | None = None

    def add(self, frame: VideoFrame) -> None:
        """Set the next row; the same frame again is copied rather than converted."""
        if self._latest is frame:
            self.images[self.filled] = self.images[self.filled - 1]
        else:
            image = upright_rgb(frame, self._max_side, self._pixel_aspect)
            if not self.filled:
                self.images = np.empty((len(self.images), *image.shape), dtype=np.uint8)
            self.images[self.filled] = letterbox(image, *self.images.shape[1:3])
        self._latest = frame
        self.filled += 1


def upright_rgb(frame: VideoFrame, max_side: int | None, pixel_aspect: float) -> NDArray[np.uint8]:
    """Return a decoded frame as RGB, uint8 (height, width, 3), the way a player shows it.

    It is rotated, mirrored and given square pixels. Colours are converted by the matrix and range that the frame
    declares; high dynamic range is not tone-mapped, fields are not deinterlaced. A larger image than ``max_side`` is
    scaled down while it is converted.
    """
    width, height = fit(frame.width * pixel_aspect, frame.height, max_side)
    scaled = (width, height) != (frame.width, frame.height)
    rgb = frame.reformat(
        width=width,
        height=height,
        format="rgb24",
        src_color_range=frame.color_range or None,
        interpolation=Interpolation.AREA if scaled else Interpolation.BILINEAR,
        threads=1,
    )
    image: NDArray[np.uint8] = rgb.to_ndarray().astype(np.uint8, copy=False)
    return np.ascontiguousarray(frame_orientation(frame).apply(image))


def fit(width: float, height: float, max_side: int | None) -> tuple[int, int]:
    """Return an image's width and height in whole pixels, the longer side at most ``max_side``.

    Examples:
        >>> fit(1920, 1080, 1280), fit(640, 480, None)
        ((1280, 720), (640, 480))
    """
    scale = 1.0 if max_side is None else min(1.0, max_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def letterbox(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return an RGB image scaled to fit a size without being stretched, centred on black."""
    if image.shape[:2] == (height, width):
        return image
    scale = min(height / image.shape[0], width / image.shape[1])
    rows, columns = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
    source = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    scaled = source.reformat(width=columns, height=rows, interpolation=Interpolation.AREA, threads=1).to_ndarray()
    result = np.zeros((height, width, 3), dtype=np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    result[top : top + rows, left : left + columns] = scaled
    return result
