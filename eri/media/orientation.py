"""Turning and mirroring a picture the way its file says it is to be shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray


@dataclass(frozen=True)
class Orientation:
    """How a stored picture is shown: turned first, mirrored second.

    Attributes:
        rotation: Clockwise degrees: 0, 90, 180 or 270.
        mirrored: Whether left and right are swapped after turning.
    """

    rotation: int = 0
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height trade places."""
        return self.rotation % 180 == 90

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the picture, (height, width, channels), as it is to be shown; a view.

        Examples:
            >>> picture = np.array([[[1], [2]], [[3], [4]]], dtype=np.uint8)
            >>> Orientation(90).apply(picture)[..., 0].tolist()
            [[3, 1], [4, 2]]
            >>> Orientation(90, mirrored=True).apply(picture)[..., 0].tolist()
            [[1, 3], [2, 4]]
        """
        turned = np.rot90(picture, -self.rotation // 90)
        return turned[:, ::-1] if self.mirrored else turned


def frame_orientation(frame: VideoFrame) -> Orientation:
    """Return the orientation that a decoded frame's display matrix asks for.

    The matrix maps a stored point (x, y) to (a·x + c·y, b·x + d·y) (ISO/IEC 14496-12, 8.3.2); angles between right
    angles go to the nearest one.
    """
    entries: Iterable[Any] = frame.side_data  # the stub knows motion vectors only
    matrices = [entry for entry in entries if entry.type is Type.DISPLAYMATRIX]
    if not matrices:
        return Orientation()
    matrix = np.frombuffer(bytes(matrices[0]), dtype=np.int32)
    return matrix_orientation(int(matrix[0]), int(matrix[1]), int(matrix[3]), int(matrix[4]))


def matrix_orientation(a: int, b: int, c: int, d: int) -> Orientation:
    """Return the orientation nearest to a display matrix.

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
