"""A portrait whose face moves: its features, its person cut out, and facial action units that warp it without folds.

``portrait.png`` is a part of NASA's portrait of Eileen Collins, in the public domain (``portrait.txt`` says more).
Coordinates are pixels of the whole portrait (512 × 512), x to the right and y downwards; *left* and *right* are the
viewer's.

Action units are numbered as in the Facial Action Coding System (Ekman & Friesen 1978). An amplitude of 1 is a strong
but natural contraction. Smooth action units add up to one displacement field; lids and lips slide over the eyes, teeth
and the dark of the mouth, which stay behind them.
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
Bump = tuple[float, float, float, float, float, float]
"""A Gaussian displacement: centre x and y, radius x and y, shift x and y."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, with even sides."""

SCALE = 1.5
"""The portrait is animated at this many pixels to one of its own, so that repeated resampling stays invisible."""

WINDOW: Box = (76, 6, 376, 236)
"""The part that is animated, which ``portrait.png`` holds."""

# Hair, ears, neck ring and shoulders: the person against the studio's background.
_OUTLINE: Points = (
    (90, 236), (97, 227), (107, 217), (114, 206), (116, 192), (124, 175), (140, 160), (160, 151), (180, 149),
    (183, 144), (181, 133), (178, 131), (172, 126), (168, 117), (160, 109), (156, 98), (153, 83), (155, 66), (161, 55),
    (172, 45), (186, 34), (200, 24), (215, 17), (235, 14), (255, 17), (272, 25), (284, 36), (291, 48), (299, 63),
    (302, 84), (299, 101), (290, 115), (279, 128), (274, 134), (268, 137), (266, 146), (262, 156), (257, 170),
    (268, 178), (283, 190), (297, 207), (304, 226), (305, 233), (322, 236),
)  # fmt: skip
# Inside the hairline and down the neck.
_FACE_AND_NECK: Points = (
    (183, 144), (181, 120), (183, 95), (186, 74), (200, 80), (215, 79), (230, 79), (245, 84), (262, 90), (268, 92),
    (270, 110), (270, 124), (266, 140), (268, 160), (256, 172), (250, 186), (234, 190), (200, 185), (186, 182),
    (184, 160),
)  # fmt: skip


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
    crease=92.0, cheek=112.0,
)  # fmt: skip
RIGHT_EYE = Eye(
    ((234.5, 104.8), (238, 102.2), (242, 100.0), (246, 99.0), (250, 99.4), (254, 101.2), (258.5, 104.0)),
    ((234.5, 104.8), (238, 105.6), (242, 106.4), (246, 106.8), (250, 106.2), (254, 105.2), (258.5, 104.0)),
    crease=94.5, cheek=115.0,
)  # fmt: skip

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

SMOOTH_UNITS: dict[str, tuple[Bump, ...]] = {
    "AU1 inner brow raiser": ((208, 86, 9, 6, 0.8, -4.0), (240, 88, 9, 6, -0.8, -4.0)),
    "AU2 outer brow raiser": ((195, 84, 9, 6, 0, -4.0), (256, 87, 9, 6, 0, -4.0)),
    "AU4 brow lowerer": (
        (208, 93, 9, 7, 3.5, 3.2), (240, 95, 9, 7, -3.5, 3.2), (195, 92, 9, 7, 1, 1.5), (256, 95, 9, 7, -1, 1.5),
    ),
    "AU6 cheek raiser": ((197, 117, 14, 10, 0, -4.5), (253, 119, 14, 10, 0, -4.5)),
    "AU9 nose wrinkler": (
        (211, 121, 9, 9, 0.6, -4.0), (236, 122, 9, 9, -0.6, -4.0), (223, 113, 8, 10, 0, -3.0), (224, 97, 9, 8, 0, 2.5),
    ),
    "AU10 upper lip raiser": ((212, 136, 9, 8, 0, -3.0), (234, 136, 9, 8, 0, -3.0)),
    "AU12 lip corner puller": ((202, 139, 13, 10, -3.8, -4.2), (245, 140, 13, 10, 3.8, -4.2)),
    "AU15 lip corner depressor": ((203, 142, 11, 10, 0, 5.0), (244, 143, 11, 10, 0, 5.0)),
    "AU17 chin raiser": ((222, 160, 16, 10, 0, -4.0), (222, 150, 10, 8, 0, -2.0)),
    "AU18 lip pucker": ((204, 143, 14, 12, 6.5, 0), (243, 144, 14, 12, -6.5, 0)),
    "AU20 lip stretcher": ((203, 142, 13, 11, -5.0, 1.0), (244, 143, 13, 11, 5.0, 1.0)),
    "yaw": ((223, 122, 34, 48, 8.0, 0),),
    "pitch": ((223, 122, 40, 42, 0, 8.0),),
}  # fmt: skip
"""Warps without an opening; ``yaw`` and ``pitch`` move the nearer parts of a turning head further."""

# The others open or close something.
UNITS = (
    *SMOOTH_UNITS,
    *("AU5 upper lid raiser", "AU7 lid tightener", "AU25 lips part", "AU26 jaw drop", "AU43 eyes closed"),
)
"""Names of the columns of a matrix of amplitudes."""

_REST = {"AU12 lip corner puller": -0.75, "AU6 cheek raiser": -0.3}  # the portrait smiles; a face at rest does not
_FACE: Box = (158, 62, 288, 206)
_COARSENESS = 4
_MOUTH: Box = (176, 124, 272, 206)
_MOUTH_CAVITY = (52.0, 20.0, 20.0, 1.0)
_TONGUE = (120.0, 52.0, 52.0, 1.0)
_TEETH_ABOVE_LIP = 0.8
_WIDEST = 18.0


@dataclass(frozen=True, eq=False)
class Portrait:
    """The animated window at :data:`SCALE`; all arrays are float32 (height, width), the masks in [0, 1]."""

    image: Array  # RGB in [0, 255], (height, width, 3)
    person: Array
    skin: Array  # of face and neck
    hair: Array
    suit: Array  # clothes and the neck ring


def to_window(x: Array, y: Array) -> tuple[Array, Array]:
    """Return coordinates of the portrait as pixels of the animated window."""
    return (x - WINDOW[0] + 0.5) * SCALE - 0.5, (y - WINDOW[1] + 0.5) * SCALE - 0.5


def region_of(box: Box) -> tuple[slice, slice]:
    """Return the rows and columns of the animated window that a box takes."""
    left, top, right, bottom = (int((side - WINDOW[place % 2]) * SCALE) for place, side in enumerate(box))
    return slice(top, bottom), slice(left, right)


def coordinates(box: Box = WINDOW) -> tuple[Array, Array]:
    """Return the portrait's x and y of every pixel of the animated window in a box."""
    y, x = np.mgrid[region_of(box)].astype(np.float32)
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
    image = cv2.resize(read_portrait(), None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    _, y = coordinates()
    image, person = _cut_out(image)
    face_and_neck = _feathered(_FACE_AND_NECK, 3.0)
    hair = np.clip(person * smoothstep((y - 150.0) / (140.0 - 150.0)) - face_and_neck, 0, 1)
    eyes_and_mouth = np.maximum.reduce(
        [
            _feathered((*LEFT_EYE.upper, *LEFT_EYE.lower[::-1]), 2.0),
            _feathered((*RIGHT_EYE.upper, *RIGHT_EYE.lower[::-1]), 2.0),
            _feathered((*UPPER_LIP_EDGE, *LOWER_LIP_EDGE[::-1]), 1.5),
        ]
    )
    suit = np.clip(person - face_and_neck - hair, 0, 1)
    return Portrait(image, person, face_and_neck * (1 - eyes_and_mouth), hair, suit)


def _cut_out(image: Array) -> tuple[Array, Array]:
    """Separate the person from the plain background, which is also taken out of the mixed pixels along the edge.

    In a band along the outline a pixel is as much person as its colour is far from that of the background nearby.
    """
    inside, outside = _feathered(_OUTLINE, 0.5), 1 - _feathered(_OUTLINE, 3.0)
    sure = (outside > 0.98).astype(np.float32)
    sigma = 12.0 * SCALE
    weight = cv2.GaussianBlur(sure, (0, 0), sigma)
    background = cv2.GaussianBlur(image * sure[..., None], (0, 0), sigma) / np.maximum(weight, 1e-3)[..., None]
    distance = np.abs(image - background).max(axis=2)
    band = (outside > 0.02) & (outside < 0.98)
    person = np.where(band, smoothstep((distance - 8.0) / (45.0 - 8.0)), inside).astype(np.float32)
    person = cv2.GaussianBlur(person, (0, 0), 0.4 * SCALE)
    share = np.maximum(person, 0.35)[..., None]
    clean = np.where(band[..., None], (image - (1 - share) * background) / share, image)
    return np.clip(clean, 0, 255).astype(np.float32), person.astype(np.float32)


def _feathered(points: Points, sigma: float) -> Array:
    """Fill a polygon and soften its edge by ``sigma`` pixels of the portrait."""
    rows, columns = region_of(WINDOW)
    mask = np.zeros((rows.stop, columns.stop), dtype=np.float32)
    corners = np.stack(to_window(*np.asarray(points, dtype=np.float32).T), axis=1)
    cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 1.0, shift=4)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma * SCALE), dtype=np.float32)


class Face:
    """An image of the portrait's window whose face takes on expressions.

    The image is float32 (height, width, 4): red, green and blue, already multiplied by the fourth, which is how much of
    a pixel is person.
    """

    def __init__(self, image: Array) -> None:
        self._image = np.ascontiguousarray(image, dtype=np.float32)

    def render(self, amplitudes: Array) -> Array:
        """Return the image with the face in an expression: one amplitude for each of :data:`UNITS`, 0 at rest.

        Amplitudes of head turns range over [-1, 1].
        """
        value = dict(zip(UNITS, amplitudes, strict=True))
        image = self._image.copy()
        closed, tight, wide = (
            float(value[name]) for name in ("AU43 eyes closed", "AU7 lid tightener", "AU5 upper lid raiser")
        )
        for eye in (LEFT_EYE, RIGHT_EYE):
            _move_lids(image, eye, closure=closed + 0.3 * tight - 0.25 * wide, lower=0.35 * tight)
        opening = 4.0 * value["AU25 lips part"] + 15.0 * value["AU26 jaw drop"]
        _move_lips(image, min(max(opening, 0.0), _WIDEST), raised=2.2 * value["AU10 upper lip raiser"])
        field = smooth_field(amplitudes[: len(SMOOTH_UNITS)])
        rows, columns = region_of(_FACE)
        y, x = np.mgrid[rows, columns].astype(np.float32)
        image[rows, columns] = cv2.remap(
            image, x - field[..., 0], y - field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return image


def smooth_field(amplitudes: Array) -> Array:
    """Return the displacement of the face region in window pixels, (height, width, 2), for :data:`SMOOTH_UNITS`."""
    # The fields are smooth, so they are added up on a coarse grid; einsum, because BLAS would start threads for this in
    # every process.
    rest, bases = _coarse_bases()
    coarse = np.einsum("u,uhwc->hwc", (amplitudes + rest).astype(np.float32), bases)
    rows, columns = region_of(_FACE)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)


@lru_cache(maxsize=1)
def _coarse_bases() -> tuple[Array, Array]:
    """The amplitude of each smooth unit at rest, and its field at amplitude 1 on a coarse grid.

    Fields fade out at the rim of the face region.
    """
    x, y = coordinates(_FACE)
    x0, y0, x1, y1 = _FACE
    fade = smoothstep(np.minimum.reduce([x - x0, x1 - x, y - y0, y1 - y]) / 12.0)
    bases = np.zeros((len(SMOOTH_UNITS), *x.shape, 2), dtype=np.float32)
    for base, bumps in zip(bases, SMOOTH_UNITS.values(), strict=True):
        for centre_x, centre_y, radius_x, radius_y, shift_x, shift_y in bumps:
            weight = np.exp(-0.5 * (((x - centre_x) / radius_x) ** 2 + ((y - centre_y) / radius_y) ** 2)) * fade
            base[..., 0] += weight * shift_x * SCALE
            base[..., 1] += weight * shift_y * SCALE
    size = (x.shape[1] // _COARSENESS, x.shape[0] // _COARSENESS)
    rest = np.array([_REST.get(name, 0.0) for name in SMOOTH_UNITS], dtype=np.float32)
    return rest, np.stack([cv2.resize(base, size, interpolation=cv2.INTER_AREA) for base in bases])


def _move_lids(image: Array, eye: Eye, closure: float, lower: float) -> None:
    """Slide both lids of an eye over the eyeball, in place.

    ``closure`` is 0 as in the portrait, 1 shut, negative wider open; ``lower`` is how far the lower lid rises, as a
    share of the opening.
    """
    box, x, y, upper, under = _eye_geometry(eye)
    height = under - upper
    closure = min(max(closure, -0.6), 1.0)
    low_edge = under - height * min(max(lower, 0.0), 0.6) * (1 - max(closure, 0.0))
    up_edge = upper + np.where(closure > 0, closure * (low_edge - upper), closure * height)
    shift_up, shift_low = up_edge - upper, low_edge - under
    above = y - shift_up * _between(y, eye.crease, up_edge)
    below = y - shift_low * (1 - _between(y, low_edge, np.float32(eye.cheek)))
    # An eye opened wider than in the portrait stretches what the portrait shows of it.
    stretch = np.clip((y - up_edge) / np.maximum(under - up_edge, 0.5), 0, 1)
    inside = np.where(shift_up < 0, upper + stretch * height, y)
    source = np.where(y <= up_edge, above, np.where(y >= low_edge, below, inside))
    image[region_of(box)] = _sample(image, x, source)


def _move_lips(image: Array, opening: float, raised: float) -> None:
    """Part the lips by ``opening`` pixels of the portrait at their middle and raise the upper one, in place.

    The teeth stay where they are.
    """
    x, y, lip_top, upper, under, lip_bottom, profile = _mouth_geometry()
    gap = opening * profile
    closing = np.maximum(under - upper - gap, 0.0)
    jaw = float(np.maximum(gap - (under - upper), 0.0).max())
    shift_upper = 0.3 * closing - raised * profile
    up_edge = upper + shift_upper
    low_edge = upper + 0.3 * closing + gap
    shift_under = low_edge - under
    chin, chin_weight = np.float32(178.0), np.exp(-0.5 * ((x - 222.0) / 24.0) ** 2)
    chin_weight = chin_weight * np.clip(1 - ((x - 222.0) / 45.0) ** 2, 0, 1)
    shift_chin = 0.8 * jaw * chin_weight
    above = y - shift_upper * _between(y, np.float32(128.0), lip_top + shift_upper)
    to_chin = _between(y, lip_bottom + shift_under, chin + shift_chin)
    below_lip = shift_under * (1 - to_chin) + shift_chin * to_chin
    below = y - below_lip * (1 - _between(y, chin + shift_chin, np.float32(205.0)))
    # Each part is sampled only from its own side of the portrait's lips, so that no tooth smears into a lip.
    margin = 0.4 * np.clip(profile * 3, 0, 1)
    is_upper = y < 0.5 * (up_edge + low_edge)
    lips = _sample(image, x, np.where(is_upper, np.minimum(above, upper - margin), np.maximum(below, under + margin)))
    teeth_edge = under - _TEETH_ABOVE_LIP
    teeth = _sample(image, x, np.clip(y, upper + 0.6, teeth_edge))
    depth = np.clip((y - teeth_edge) / 12.0, 0, 1)[..., None]
    cavity = np.array(_MOUTH_CAVITY, np.float32) * (1 - depth) + np.array(_TONGUE, np.float32) * depth
    toothless = np.clip((y - teeth_edge) * SCALE + 0.5, 0, 1)[..., None]
    behind = teeth * (1 - toothless) + cavity * toothless
    # Lips cast a shadow on what is right behind them.
    shadow = np.clip(np.minimum(y - up_edge, low_edge - y) / 2.5, 0, 1)[..., None]
    behind[..., :3] *= 0.55 + 0.45 * shadow
    inside = np.clip((y - up_edge) * SCALE + 0.5, 0, 1) * np.clip((low_edge - y) * SCALE + 0.5, 0, 1)
    seam = 0.45 * np.exp(-0.5 * ((y - 0.5 * (up_edge + low_edge)) / 0.7) ** 2)
    seam = seam * np.clip(1 - gap, 0, 1) * np.clip(profile * 4, 0, 1)
    inside = (inside * np.clip(profile * 6, 0, 1))[..., None]
    mouth = lips * (1 - inside) + behind * inside
    mouth[..., :3] *= 1 - seam[..., None]
    image[region_of(_MOUTH)] = mouth


@lru_cache(maxsize=2)
def _eye_geometry(eye: Eye) -> tuple[Box, Array, Array, Array, Array]:
    sides = (eye.upper[0][0] - 1, eye.crease - 2, eye.upper[-1][0] + 1, eye.cheek + 2)
    left, top, right, bottom = (2 * round(side / 2) for side in sides)
    box = (left, top, right, bottom)
    x, y = coordinates(box)
    return box, x, y, _curve(eye.upper, x), _curve(eye.lower, x)


@lru_cache(maxsize=1)
def _mouth_geometry() -> tuple[Array, ...]:
    x, y = coordinates(_MOUTH)
    curves = [_curve(points, x) for points in (UPPER_LIP_TOP, UPPER_LIP_EDGE, LOWER_LIP_EDGE, LOWER_LIP_BOTTOM)]
    profile = (np.clip(1 - ((x - 223.5) / 21.5) ** 2, 0, 1) ** 0.8).astype(np.float32)
    return x, y, *curves, profile


def _curve(points: Points, x: Array) -> Array:
    """The height of a curve through the points at each x, level beyond its ends."""
    from scipy.interpolate import PchipInterpolator

    at_x, at_y = np.asarray(points, dtype=np.float64).T
    return np.asarray(PchipInterpolator(at_x, at_y)(np.clip(x, at_x[0], at_x[-1])), dtype=np.float32)


def _between(values: Array, zero: Array | np.float32 | float, one: Array | np.float32) -> Array:
    """Rise smoothly from 0 where values are ``zero`` to 1 where they are ``one``."""
    return np.asarray(smoothstep((values - zero) / np.maximum(one - zero, 0.25)), dtype=np.float32)


def _sample(image: Array, x: Array, y: Array) -> Array:
    """The image's colours at portrait coordinates."""
    at_x, at_y = to_window(x, y)
    sampled = cv2.remap(image, at_x.astype(np.float32), at_y.astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(sampled, dtype=np.float32)
