"""The portrait that the demo animates, with its features marked and its person cut out.

``portrait.png`` is a part of NASA's portrait of Eileen Collins, in the public domain (``portrait.txt`` says more).
Coordinates are pixels of the whole portrait (512 × 512), x to the right and y downwards; *left* and *right* are the
viewer's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Points = tuple[tuple[float, float], ...]
Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of the portrait."""

SCALE = 1.5
"""The portrait is animated at this many pixels to one of its own, so that repeated resampling stays invisible.

Boxes have even sides."""

WINDOW: Box = (76, 6, 376, 236)
"""The part that is animated, which ``portrait.png`` holds."""

OUTLINE: Points = (
    (90, 236), (97, 227), (107, 217), (114, 206), (116, 192), (124, 175), (140, 160), (160, 151), (180, 149),
    (183, 144), (181, 133), (178, 131), (172, 126), (168, 117), (160, 109), (156, 98), (153, 83), (155, 66), (161, 55),
    (172, 45), (186, 34), (200, 24), (215, 17), (235, 14), (255, 17), (272, 25), (284, 36), (291, 48), (299, 63),
    (302, 84), (299, 101), (290, 115), (279, 128), (274, 134), (268, 137), (266, 146), (262, 156), (257, 170),
    (268, 178), (283, 190), (297, 207), (304, 226), (305, 233), (322, 236),
)  # fmt: skip
"""Hair, ears, neck ring and shoulders: the person against the studio's background."""

HAIRLINE: Points = (
    (183, 144), (181, 120), (183, 95), (186, 74), (200, 80), (215, 79), (230, 79), (245, 84), (262, 90), (268, 92),
    (270, 110), (270, 124), (266, 140),
)  # fmt: skip
"""Where the hair meets the face."""

JAW: Points = (
    (182, 128), (184, 145), (190, 160), (200, 171), (210, 177), (221, 179), (235, 177), (247, 170), (257, 158),
    (265, 142), (267, 130),
)  # fmt: skip
"""The contour of the face from ear to ear."""


@dataclass(frozen=True)
class Eye:
    """One eye: its lid edges as curves from corner to corner."""

    upper: Points  # the lower edge of the upper lid
    lower: Points  # the upper edge of the lower lid
    crease: float  # height above which the lid does not move
    cheek: float  # height below which the lower lid does not move


LEFT_EYE = Eye(
    ((191.5, 101.2), (195, 99.8), (199, 98.0), (203, 97.4), (207, 98.8), (210.5, 101.2), (214, 103.6)),
    ((191.5, 101.2), (196, 102.4), (200, 103.8), (204, 104.2), (208, 104.0), (214, 103.6)),
    92.0,
    112.0,
)
RIGHT_EYE = Eye(
    ((234.5, 104.8), (238, 102.2), (242, 100.0), (246, 99.0), (250, 99.4), (254, 101.2), (258.5, 104.0)),
    ((234.5, 104.8), (238, 105.6), (242, 106.4), (246, 106.8), (250, 106.2), (254, 105.2), (258.5, 104.0)),
    94.5,
    115.0,
)

UPPER_LIP_TOP: Points = ((201, 138), (206, 139), (212, 139.4), (222, 139.8), (231, 139.4), (239, 139.6), (246, 139))
UPPER_LIP_EDGE: Points = (
    (202, 139.5), (205, 141), (210, 142), (215, 142.6), (222, 143.6), (230, 143), (235, 142.4), (240, 141.2),
    (245, 140.2),
)  # fmt: skip
LOWER_LIP_EDGE: Points = (
    (202, 139.5), (205, 143), (210, 146.6), (215, 149), (222, 149.9), (230, 149.2), (235, 147), (240, 143.4),
    (245, 140.2),
)  # fmt: skip
LOWER_LIP_BOTTOM: Points = ((201, 141), (207, 148), (213, 152.4), (222, 154.4), (230, 153.4), (237, 149), (246, 142))


@dataclass(frozen=True, eq=False)
class Portrait:
    """The animated window at :data:`SCALE`; all arrays are float32 (height, width), the masks in [0, 1]."""

    picture: Array  # RGB in [0, 255], (height, width, 3)
    person: Array  # how much of each pixel is person
    skin: Array  # likewise skin of face and neck
    hair: Array  # likewise hair
    suit: Array  # likewise clothes and the neck ring


def to_window(x: Array, y: Array) -> tuple[Array, Array]:
    """Return coordinates of the portrait as pixels of the animated window."""
    return (x - WINDOW[0] + 0.5) * SCALE - 0.5, (y - WINDOW[1] + 0.5) * SCALE - 0.5


def region_of(box: Box) -> tuple[slice, slice]:
    """Return the rows and columns of the animated window that a box takes."""
    left, top, right, bottom = (int((side - WINDOW[place % 2]) * SCALE) for place, side in enumerate(box))
    return slice(top, bottom), slice(left, right)


def coordinates(box: Box = WINDOW) -> tuple[Array, Array]:
    """Return the portrait's x and y of every pixel of the animated window in a box."""
    rows, columns = region_of(box)
    x: Array
    y: Array
    x, y = np.meshgrid(
        np.arange(columns.start, columns.stop, dtype=np.float32), np.arange(rows.start, rows.stop, dtype=np.float32)
    )
    return (x + 0.5) / SCALE - 0.5 + WINDOW[0], (y + 0.5) / SCALE - 0.5 + WINDOW[1]


def smoothstep(values: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Rise smoothly from 0 where values are 0 or less to 1 where they are 1 or more."""
    t: NDArray[Any] = np.clip(values, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def read_portrait() -> NDArray[np.uint8]:
    """Return the pixels of ``portrait.png``, uint8 RGB (230, 300, 3)."""
    data = np.frombuffer((files("eri.synthetic") / "portrait.png").read_bytes(), dtype=np.uint8)
    return np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), dtype=np.uint8)


@lru_cache(maxsize=1)
def load_portrait() -> Portrait:
    """Cut the portrait into its parts. The arrays are shared: treat them as read-only."""
    picture = cv2.resize(read_portrait(), None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    _, y = coordinates()
    picture, person = _cut_out(picture)
    face_and_neck = _feathered(
        (*HAIRLINE, (268, 160), (256, 172), (250, 186), (234, 190), (200, 185), (186, 182), (184, 160)), 3.0
    )
    above_neck = smoothstep((y - 150.0) / (140.0 - 150.0))
    hair = np.clip(person * above_neck - face_and_neck, 0, 1)
    eyes_and_mouth = np.maximum.reduce(
        [
            _feathered((*LEFT_EYE.upper, *LEFT_EYE.lower[::-1]), 2.0),
            _feathered((*RIGHT_EYE.upper, *RIGHT_EYE.lower[::-1]), 2.0),
            _feathered((*UPPER_LIP_EDGE, *LOWER_LIP_EDGE[::-1]), 1.5),
        ]
    )
    skin = face_and_neck * (1 - eyes_and_mouth)
    suit = np.clip(person - face_and_neck - hair, 0, 1)
    return Portrait(picture, person, skin, hair, suit)


def _cut_out(picture: Array) -> tuple[Array, Array]:
    """Separate the person from the plain background, which is also taken out of the mixed pixels along the edge.

    In a band along the outline a pixel is as much person as its colour is far from that of the background nearby.
    """
    inside, outside = _feathered(OUTLINE, 0.5), 1 - _feathered(OUTLINE, 3.0)
    sure = (outside > 0.98).astype(np.float32)
    sigma = 12.0 * SCALE
    weight = cv2.GaussianBlur(sure, (0, 0), sigma)
    background = cv2.GaussianBlur(picture * sure[..., None], (0, 0), sigma) / np.maximum(weight, 1e-3)[..., None]
    distance = np.abs(picture - background).max(axis=2)
    band = (outside > 0.02) & (outside < 0.98)
    person = np.where(band, smoothstep((distance - 8.0) / (45.0 - 8.0)), inside).astype(np.float32)
    person = cv2.GaussianBlur(person, (0, 0), 0.4 * SCALE)
    share = np.maximum(person, 0.35)[..., None]
    clean = np.where(band[..., None], (picture - (1 - share) * background) / share, picture)
    return np.clip(clean, 0, 255).astype(np.float32), person.astype(np.float32)


def _feathered(points: Points, sigma: float) -> Array:
    """Fill a polygon and soften its edge by ``sigma`` pixels of the portrait."""
    rows, columns = region_of(WINDOW)
    mask = np.zeros((rows.stop, columns.stop), dtype=np.float32)
    corners = np.stack(to_window(*np.asarray(points, dtype=np.float32).T), axis=1)
    cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 1.0, shift=4)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma * SCALE), dtype=np.float32)
