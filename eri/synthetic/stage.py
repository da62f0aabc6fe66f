"""The stage: one subject in a room in front of a camera, drawn frame by frame."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from eri.synthetic.face import Bump, Face
from eri.synthetic.performance import Motion
from eri.synthetic.portrait import SCALE, Array, coordinates, load_portrait, smoothstep, to_window
from eri.synthetic.subjects import Look

WIDTH, HEIGHT = 320, 240
"""Size of the picture in pixels."""

_CENTRE = (222.0, 125.0)
_NECK = (222.0, 182.0)
_BOTTOM = 233.0

_WARPS: dict[str, tuple[Bump, ...]] = {
    "face width": ((185, 130, 22, 45, -5, 0), (266, 130, 22, 45, 5, 0)),
    "jaw width": ((195, 165, 16, 16, -4, 0), (250, 165, 16, 16, 4, 0)),
    "chin length": ((222, 174, 24, 16, 0, 4.5),),
    "eye distance": ((203, 98, 16, 14, -2.5, 0), (246, 101, 16, 14, 2.5, 0)),
    "eye size": (
        (203, 96, 13, 8, 0, -1.2),
        (246, 98, 13, 8, 0, -1.2),
        (203, 106, 13, 8, 0, 1.2),
        (246, 108, 13, 8, 0, 1.2),
    ),
    "nose width": ((211, 124, 9, 12, -2.5, 0), (236, 125, 9, 12, 2.5, 0)),
    "mouth width": ((205, 143, 13, 10, -3, 0), (242, 143, 13, 10, 3, 0)),
    "hair volume": ((165, 80, 25, 40, -7, 0), (290, 80, 25, 40, 7, 0), (222, 25, 50, 22, 0, -6)),
}


class Stage:
    """Draws the frames of one clip.

    Args:
        look: The subject.
        random: The clip's own source of chance: camera noise, a slightly different seat, flicker of the light.
    """

    def __init__(self, look: Look, random: np.random.Generator) -> None:
        person = load_portrait().person[..., None]
        self._face = Face(np.concatenate([_recolour(look) * person, person], axis=2))
        self._look = look
        self._random = random
        self._seat = random.uniform(-6, 6, size=2)
        amplitudes = np.array([look.warps[name] for name in _WARPS], np.float32)
        self._identity: Array = np.einsum("k,khwc->hwc", amplitudes, _identity_bases())
        self._light = _light(look)
        self._wall = draw_wall(look.wall)
        self._noise = random.normal(0, look.noise, size=(HEIGHT + 64, WIDTH + 64, 1)).astype(np.float32)

    def draw(self, motion: Motion, index: int) -> NDArray[np.uint8]:
        """Return frame ``index`` of the motion, uint8 RGB (:data:`HEIGHT`, :data:`WIDTH`, 3)."""
        portrait = self._face.render(motion.units[index])
        x, y = self._source(float(motion.roll[index]), motion.shift[index], float(motion.lean[index]))
        seen = cv2.remap(portrait, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        mixed = (seen[..., :3] + self._wall * (1 - seen[..., 3:])) * self._light
        return self.expose(mixed)

    def expose(self, picture: Array) -> NDArray[np.uint8]:
        """Return the picture as the camera records it: with flicker, noise and 8 bits."""
        top, left = self._random.integers(0, 64, size=2)
        noise = self._noise[top : top + HEIGHT, left : left + WIDTH]
        exposed = picture * np.float32(1 + self._random.normal(0, 0.004)) + noise
        return np.asarray(np.clip(exposed + 0.5, 0, 255), dtype=np.uint8)

    def _source(self, roll: float, shift: NDArray[np.float64], lean: float) -> tuple[Array, Array]:
        """Where in the window each pixel of the frame comes from."""
        size = self._look.size * (1 + lean)
        pixel_x, pixel_y = _pixels()
        # The shoulders must reach the lower edge of the frame.
        centre_x = WIDTH / 2 + self._look.place[0] + self._seat[0]
        centre_y = (
            HEIGHT - (_BOTTOM - _CENTRE[1]) * self._look.size * 0.93 + self._look.place[1] + 0.5 * self._seat[1] + 3
        )
        x = (pixel_x - np.float32(centre_x)) / np.float32(size) + _CENTRE[0]
        y = (pixel_y - np.float32(HEIGHT)) / np.float32(size) + np.float32(
            (HEIGHT - centre_y) / self._look.size + _CENTRE[1]
        )
        # The neck bends between the chin and the collar; the ring round it stays with the shoulders.
        follow = smoothstep((196.0 - y) / 38.0).astype(np.float32)
        back_x, back_y = x - np.float32(_NECK[0] + shift[0]), y - np.float32(_NECK[1] + shift[1])
        cosine, sine = np.float32(np.cos(roll)), np.float32(np.sin(roll))
        turned_x = cosine * back_x + sine * back_y + np.float32(_NECK[0])
        turned_y = cosine * back_y - sine * back_x + np.float32(_NECK[1])
        x, y = x + follow * (turned_x - x), y + follow * (turned_y - y)
        window_x, window_y = to_window(x, y)
        identity = cv2.remap(
            self._identity, window_x.astype(np.float32), window_y.astype(np.float32), cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        return (window_x - identity[..., 0]).astype(np.float32), (window_y - identity[..., 1]).astype(np.float32)


def draw_wall(seed: int) -> Array:
    """Draw an out-of-focus room, float32 RGB (:data:`HEIGHT`, :data:`WIDTH`, 3)."""
    random = np.random.default_rng(seed)
    wall = np.full((HEIGHT, WIDTH, 3), random.uniform(-14, 14, size=3) + random.uniform(95, 205), np.float32)
    for _ in range(int(random.integers(3, 8))):
        left, top = (int(value) for value in random.integers((-40, -40), (WIDTH, HEIGHT)))
        width, height = (int(value) for value in random.integers(30, 160, size=2))
        grey, tint = random.uniform(40, 215), random.uniform(-35, 35, size=3)
        colour = tuple(float(value) for value in np.clip(grey + tint, 0, 255))
        cv2.rectangle(wall, (left, top), (left + width, top + height), colour, cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(wall, (0, 0), float(random.uniform(7, 14))), dtype=np.float32)


def _recolour(look: Look) -> Array:
    portrait = load_portrait()
    picture = portrait.picture.copy()
    for mask, gains in ((portrait.skin, look.skin), (portrait.hair, look.hair)):
        picture *= 1 + mask[..., None] * (np.array(gains, dtype=np.float32) - 1)
    turned = cv2.cvtColor(np.clip(picture, 0, 255) / 255, cv2.COLOR_RGB2HSV)
    turned[..., 0] = (turned[..., 0] + look.suit) % 360
    suit = cv2.cvtColor(turned, cv2.COLOR_HSV2RGB) * 255
    mixed = picture + portrait.suit[..., None] * (suit - picture)
    return np.asarray(np.clip(mixed, 0, 255), dtype=np.float32)


@lru_cache(maxsize=1)
def _identity_bases() -> Array:
    x, y = coordinates()
    xs, ys = x[0], y[:, 0]
    bases = np.zeros((len(_WARPS), len(ys), len(xs), 2), dtype=np.float32)
    for base, bumps in zip(bases, _WARPS.values(), strict=True):
        for centre_x, centre_y, radius_x, radius_y, shift_x, shift_y in bumps:
            across = np.exp(-0.5 * ((xs - centre_x) / radius_x) ** 2)
            down = np.exp(-0.5 * ((ys - centre_y) / radius_y) ** 2)
            base += SCALE * (down[:, None] * across)[..., None] * np.array([shift_x, shift_y], np.float32)
    return bases


def _light(look: Look) -> Array:
    direction, strength, warmth = look.light
    x, y = _pixels()
    along = (x / WIDTH - 0.5) * np.cos(direction) + (y / HEIGHT - 0.5) * np.sin(direction)
    tint = np.array([1 + warmth, 1.0, 1 - warmth], dtype=np.float32)
    return np.asarray((1 + 2 * strength * along)[..., None] * tint, dtype=np.float32)


@lru_cache(maxsize=1)
def _pixels() -> tuple[Array, Array]:
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float32) + 0.5, np.arange(HEIGHT, dtype=np.float32) + 0.5)
    return x, y
