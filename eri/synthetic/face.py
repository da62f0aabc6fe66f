"""A face that moves: facial action units as warps of the portrait, without seams or folds.

Action units are numbered as in the Facial Action Coding System (Ekman & Friesen 1978). An amplitude of 1 is a strong
but natural contraction. Smooth action units add up to one displacement field; lids and lips slide over the eyes, teeth
and the dark of the mouth, which stay behind them.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from eri.synthetic.portrait import (
    LEFT_EYE,
    LOWER_LIP_BOTTOM,
    LOWER_LIP_EDGE,
    RIGHT_EYE,
    SCALE,
    UPPER_LIP_EDGE,
    UPPER_LIP_TOP,
    Array,
    Box,
    Eye,
    Points,
    coordinates,
    region_of,
    smoothstep,
    to_window,
)

Bump = tuple[float, float, float, float, float, float]
"""A Gaussian displacement in portrait pixels: centre x and y, radius x and y, shift x and y."""

SMOOTH_UNITS: dict[str, tuple[Bump, ...]] = {
    "AU1 inner brow raiser": ((208, 86, 9, 6, 0.8, -4.0), (240, 88, 9, 6, -0.8, -4.0)),
    "AU2 outer brow raiser": ((195, 84, 9, 6, 0, -4.0), (256, 87, 9, 6, 0, -4.0)),
    "AU4 brow lowerer": (
        (208, 93, 9, 7, 3.5, 3.2),
        (240, 95, 9, 7, -3.5, 3.2),
        (195, 92, 9, 7, 1, 1.5),
        (256, 95, 9, 7, -1, 1.5),
    ),
    "AU6 cheek raiser": ((197, 117, 14, 10, 0, -4.5), (253, 119, 14, 10, 0, -4.5)),
    "AU9 nose wrinkler": (
        (211, 121, 9, 9, 0.6, -4.0),
        (236, 122, 9, 9, -0.6, -4.0),
        (223, 113, 8, 10, 0, -3.0),
        (224, 97, 9, 8, 0, 2.5),
    ),
    "AU10 upper lip raiser": ((212, 136, 9, 8, 0, -3.0), (234, 136, 9, 8, 0, -3.0)),
    "AU12 lip corner puller": ((202, 139, 13, 10, -3.8, -4.2), (245, 140, 13, 10, 3.8, -4.2)),
    "AU15 lip corner depressor": ((203, 142, 11, 10, 0, 5.0), (244, 143, 11, 10, 0, 5.0)),
    "AU17 chin raiser": ((222, 160, 16, 10, 0, -4.0), (222, 150, 10, 8, 0, -2.0)),
    "AU18 lip pucker": ((204, 143, 14, 12, 6.5, 0), (243, 144, 14, 12, -6.5, 0)),
    "AU20 lip stretcher": ((203, 142, 13, 11, -5.0, 1.0), (244, 143, 13, 11, 5.0, 1.0)),
    "yaw": ((223, 122, 34, 48, 8.0, 0),),
    "pitch": ((223, 122, 40, 42, 0, 8.0),),
}
"""Warps without an opening; ``yaw`` and ``pitch`` move the nearer parts of a turning head further."""

SLIDING_UNITS = ("AU5 upper lid raiser", "AU7 lid tightener", "AU25 lips part", "AU26 jaw drop", "AU43 eyes closed")
"""Warps that open or close something."""

UNITS: tuple[str, ...] = (*SMOOTH_UNITS, *SLIDING_UNITS)
"""Names of the columns of a matrix of amplitudes."""

_REST = {"AU12 lip corner puller": -0.75, "AU6 cheek raiser": -0.3}
"""The portrait smiles; a face at rest does not."""

_FACE: Box = (158, 62, 288, 206)
_COARSENESS = 4
_MOUTH: Box = (176, 124, 272, 206)
_MOUTH_CAVITY = (52.0, 20.0, 20.0, 1.0)
_TONGUE = (120.0, 52.0, 52.0, 1.0)
_TEETH_ABOVE_LIP = 0.8
_WIDEST = 18.0


class Face:
    """A picture of the portrait's window whose face takes on expressions.

    Args:
        picture: float32 (height, width, 4) of the window: red, green and blue, already multiplied by the fourth, which
            is how much of a pixel is person.
    """

    def __init__(self, picture: Array) -> None:
        self._picture = np.ascontiguousarray(picture, dtype=np.float32)

    def render(self, amplitudes: Array) -> Array:
        """Return the window with the face in an expression.

        Args:
            amplitudes: One value for each of :data:`UNITS`, 0 at rest; head turns range over [-1, 1].

        Returns:
            float32, the shape of the picture.
        """
        value = dict(zip(UNITS, amplitudes, strict=True))
        picture = self._picture.copy()
        closed, tight, wide = (
            float(value[name]) for name in ("AU43 eyes closed", "AU7 lid tightener", "AU5 upper lid raiser")
        )
        for eye in (LEFT_EYE, RIGHT_EYE):
            _move_lids(picture, eye, closure=closed + 0.3 * tight - 0.25 * wide, lower=0.35 * tight)
        opening = 4.0 * value["AU25 lips part"] + 15.0 * value["AU26 jaw drop"]
        _move_lips(picture, min(max(opening, 0.0), _WIDEST), raised=2.2 * value["AU10 upper lip raiser"])
        return _warp(picture, amplitudes[: len(SMOOTH_UNITS)])


def smooth_field(amplitudes: Array) -> Array:
    """Return the displacement of the face region in window pixels, (height, width, 2).

    Args:
        amplitudes: One value for each of :data:`SMOOTH_UNITS`, 0 at rest.
    """
    # The fields are smooth, so they are added up on a coarse grid; einsum, because BLAS would start threads for this in
    # every process.
    coarse = np.einsum("u,uhwc->hwc", (amplitudes + _rest()).astype(np.float32), _coarse_bases())
    rows, columns = region_of(_FACE)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    return np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _warp(picture: Array, smooth: Array) -> Array:
    field = smooth_field(smooth)
    x, y = _face_pixels()
    picture[region_of(_FACE)] = cv2.remap(
        picture, x - field[..., 0], y - field[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return picture


@lru_cache(maxsize=1)
def _face_pixels() -> tuple[Array, Array]:
    """Window pixels x and y of the face region."""
    rows, columns = region_of(_FACE)
    x, y = np.meshgrid(np.arange(columns.start, columns.stop), np.arange(rows.start, rows.stop))
    return x.astype(np.float32), y.astype(np.float32)


@lru_cache(maxsize=1)
def _rest() -> Array:
    return np.array([_REST.get(name, 0.0) for name in SMOOTH_UNITS], dtype=np.float32)


@lru_cache(maxsize=1)
def _coarse_bases() -> Array:
    """The field of each smooth unit at amplitude 1 on a coarse grid, faded out at the rim of the face region."""
    x, y = coordinates(_FACE)
    x0, y0, x1, y1 = _FACE
    rim = np.minimum.reduce([x - x0, x1 - x, y - y0, y1 - y])
    fade = smoothstep(rim / 12.0)
    bases = np.zeros((len(SMOOTH_UNITS), *x.shape, 2), dtype=np.float32)
    for base, bumps in zip(bases, SMOOTH_UNITS.values(), strict=True):
        for centre_x, centre_y, radius_x, radius_y, shift_x, shift_y in bumps:
            weight = np.exp(-0.5 * (((x - centre_x) / radius_x) ** 2 + ((y - centre_y) / radius_y) ** 2)) * fade
            base[..., 0] += weight * shift_x * SCALE
            base[..., 1] += weight * shift_y * SCALE
    size = (x.shape[1] // _COARSENESS, x.shape[0] // _COARSENESS)
    return np.stack([cv2.resize(base, size, interpolation=cv2.INTER_AREA) for base in bases])


def _move_lids(picture: Array, eye: Eye, closure: float, lower: float) -> None:
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
    picture[region_of(box)] = _sample(picture, x, source)


def _move_lips(picture: Array, opening: float, raised: float) -> None:
    """Part the lips by ``opening`` pixels of the portrait at their middle and raise the upper one, in place.

    The teeth stay where they are.
    """
    x, y, lip_top, upper, under, lip_bottom, profile = _mouth_geometry()
    gap = opening * profile
    closing = np.maximum(under - upper - gap, 0.0)
    drop = np.maximum(gap - (under - upper), 0.0)
    jaw = float(drop.max())
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
    lips = _sample(picture, x, np.where(is_upper, np.minimum(above, upper - margin), np.maximum(below, under + margin)))
    teeth_edge = under - _TEETH_ABOVE_LIP
    teeth = _sample(picture, x, np.clip(y, upper + 0.6, teeth_edge))
    depth = np.clip((y - teeth_edge) / 12.0, 0, 1)[..., None]
    cavity = np.array(_MOUTH_CAVITY, np.float32) * (1 - depth) + np.array(_TONGUE, np.float32) * depth
    toothless = np.clip((y - teeth_edge) * SCALE + 0.5, 0, 1)[..., None]
    behind = teeth * (1 - toothless) + cavity * toothless
    # Lips cast a shadow on what is right behind them.
    shadow = np.clip(np.minimum(y - up_edge, low_edge - y) / 2.5, 0, 1)[..., None]
    behind[..., :3] *= 0.55 + 0.45 * shadow
    inside = np.clip((y - up_edge) * SCALE + 0.5, 0, 1) * np.clip((low_edge - y) * SCALE + 0.5, 0, 1)
    seam = (
        0.45
        * np.exp(-0.5 * ((y - 0.5 * (up_edge + low_edge)) / 0.7) ** 2)
        * np.clip(1 - gap, 0, 1)
        * np.clip(profile * 4, 0, 1)
    )
    inside = (inside * np.clip(profile * 6, 0, 1))[..., None]
    mouth = lips * (1 - inside) + behind * inside
    mouth[..., :3] *= 1 - seam[..., None]
    picture[region_of(_MOUTH)] = mouth


@lru_cache(maxsize=2)
def _eye_geometry(eye: Eye) -> tuple[Box, Array, Array, Array, Array]:
    corners = eye.upper[0], eye.upper[-1]
    sides = (corners[0][0] - 1, eye.crease - 2, corners[1][0] + 1, eye.cheek + 2)
    left, top, right, bottom = (2 * round(side / 2) for side in sides)
    box = (left, top, right, bottom)
    x, y = coordinates(box)
    return box, x, y, _curve(eye.upper, x), _curve(eye.lower, x)


@lru_cache(maxsize=1)
def _mouth_geometry() -> tuple[Array, Array, Array, Array, Array, Array, Array]:
    x, y = coordinates(_MOUTH)
    curves = [_curve(points, x) for points in (UPPER_LIP_TOP, UPPER_LIP_EDGE, LOWER_LIP_EDGE, LOWER_LIP_BOTTOM)]
    profile = (np.clip(1 - ((x - 223.5) / 21.5) ** 2, 0, 1) ** 0.8).astype(np.float32)
    return x, y, curves[0], curves[1], curves[2], curves[3], profile


def _curve(points: Points, x: Array) -> Array:
    """The height of a curve through the points at each x, level beyond its ends."""
    from scipy.interpolate import PchipInterpolator

    at_x, at_y = np.asarray(points, dtype=np.float64).T
    curve = PchipInterpolator(at_x, at_y)
    return np.asarray(curve(np.clip(x, at_x[0], at_x[-1])), dtype=np.float32)


def _between(values: Array, zero: Array | np.float32 | float, one: Array | np.float32) -> Array:
    """Rise smoothly from 0 where values are ``zero`` to 1 where they are ``one``."""
    return np.asarray(smoothstep((values - zero) / np.maximum(one - zero, 0.25)), dtype=np.float32)


def _sample(picture: Array, x: Array, y: Array) -> Array:
    """The picture's colours at portrait coordinates."""
    at_x, at_y = to_window(x, y)
    sampled = cv2.remap(picture, at_x.astype(np.float32), at_y.astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(sampled, dtype=np.float32)
