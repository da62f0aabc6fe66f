"""The stage: one subject in a room in front of a camera, drawn frame by frame."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from eri.synthetic.face import SCALE, Array, Face, coordinates, load_portrait, smoothstep, to_window
from eri.synthetic.subjects import WARPS, Look, Motion

WIDTH, HEIGHT = 320, 240
"""Size of the image in pixels."""

_CENTRE = (222.0, 125.0)
_NECK = (222.0, 182.0)
_BOTTOM = 233.0


class Stage:
    """Draws the frames of one clip.

    ``random`` is the clip's own source of chance: camera noise, a slightly different seat, flicker of the light.
    """

    def __init__(self, look: Look, random: np.random.Generator) -> None:
        person = load_portrait().person[..., None]
        self._face = Face(np.concatenate([_recolour(look) * person, person], axis=2))
        self._look = look
        self._random = random
        self._seat = random.uniform(-6, 6, size=2)
        amplitudes = np.array([look.warps[name] for name in WARPS], np.float32)
        self._identity: Array = np.einsum("k,khwc->hwc", amplitudes, _identity_bases())
        direction, strength, warmth = look.light
        x, y = _pixels()
        along = (x / WIDTH - 0.5) * np.cos(direction) + (y / HEIGHT - 0.5) * np.sin(direction)
        tint = np.array([1 + warmth, 1.0, 1 - warmth], dtype=np.float32)
        self._light = np.asarray((1 + 2 * strength * along)[..., None] * tint, dtype=np.float32)
        self._wall = draw_wall(look.wall)
        self._noise = random.normal(0, look.noise, size=(HEIGHT + 64, WIDTH + 64, 1)).astype(np.float32)

    def draw(self, motion: Motion, index: int) -> NDArray[np.uint8]:
        """Return frame ``index`` of the motion, uint8 RGB (:data:`HEIGHT`, :data:`WIDTH`, 3)."""
        portrait = self._face.render(motion.units[index])
        x, y = self._source(float(motion.roll[index]), motion.shift[index], float(motion.lean[index]))
        seen = cv2.remap(portrait, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        mixed = (seen[..., :3] + self._wall * (1 - seen[..., 3:])) * self._light
        # The camera adds flicker and noise, and records 8 bits.
        top, left = self._random.integers(0, 64, size=2)
        noise = self._noise[top : top + HEIGHT, left : left + WIDTH]
        exposed = mixed * np.float32(1 + self._random.normal(0, 0.004)) + noise
        return np.asarray(np.clip(exposed + 0.5, 0, 255), dtype=np.uint8)

    def _source(self, roll: float, shift: NDArray[np.float64], lean: float) -> tuple[Array, Array]:
        """Where in the window each pixel of the frame comes from."""
        look, (pixel_x, pixel_y) = self._look, _pixels()
        size = np.float32(look.size * (1 + lean))
        # The shoulders must reach the lower edge of the frame.
        centre_x = WIDTH / 2 + look.place[0] + self._seat[0]
        centre_y = HEIGHT - (_BOTTOM - _CENTRE[1]) * look.size * 0.93 + look.place[1] + 0.5 * self._seat[1] + 3
        x = (pixel_x - np.float32(centre_x)) / size + _CENTRE[0]
        y = (pixel_y - np.float32(HEIGHT)) / size + np.float32((HEIGHT - centre_y) / look.size + _CENTRE[1])
        # The neck bends between the chin and the collar; the ring round it stays with the shoulders.
        follow = smoothstep((196.0 - y) / 38.0).astype(np.float32)
        back_x, back_y = x - np.float32(_NECK[0] + shift[0]), y - np.float32(_NECK[1] + shift[1])
        cosine, sine = np.float32(np.cos(roll)), np.float32(np.sin(roll))
        rotated_x = cosine * back_x + sine * back_y + np.float32(_NECK[0])
        rotated_y = cosine * back_y - sine * back_x + np.float32(_NECK[1])
        at = to_window(x + follow * (rotated_x - x), y + follow * (rotated_y - y))
        at_x, at_y = (place.astype(np.float32) for place in at)
        identity = cv2.remap(self._identity, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return (at[0] - identity[..., 0]).astype(np.float32), (at[1] - identity[..., 1]).astype(np.float32)


def draw_wall(seed: int) -> Array:
    """Draw an out-of-focus room, float32 RGB (:data:`HEIGHT`, :data:`WIDTH`, 3)."""
    random = np.random.default_rng(seed)
    wall = np.full((HEIGHT, WIDTH, 3), random.uniform(-14, 14, size=3) + random.uniform(95, 205), np.float32)
    for _ in range(int(random.integers(3, 8))):
        left, top = random.integers((-40, -40), (WIDTH, HEIGHT)).tolist()
        width, height = random.integers(30, 160, size=2).tolist()
        grey, tint = random.uniform(40, 215), random.uniform(-35, 35, size=3)
        colour = np.clip(grey + tint, 0, 255).tolist()
        cv2.rectangle(wall, (left, top), (left + width, top + height), colour, cv2.FILLED)
    return np.asarray(cv2.GaussianBlur(wall, (0, 0), float(random.uniform(7, 14))), dtype=np.float32)


def _recolour(look: Look) -> Array:
    portrait = load_portrait()
    image = portrait.image.copy()
    for mask, gains in ((portrait.skin, look.skin), (portrait.hair, look.hair)):
        image *= 1 + mask[..., None] * (np.array(gains, dtype=np.float32) - 1)
    hsv = cv2.cvtColor(np.clip(image, 0, 255) / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + look.suit) % 360
    mixed = image + portrait.suit[..., None] * (cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255 - image)
    return np.asarray(np.clip(mixed, 0, 255), dtype=np.float32)


@lru_cache(maxsize=1)
def _identity_bases() -> Array:
    x, y = coordinates()
    xs, ys = x[0], y[:, 0]
    bases = np.zeros((len(WARPS), len(ys), len(xs), 2), dtype=np.float32)
    for base, bumps in zip(bases, WARPS.values(), strict=True):
        for centre_x, centre_y, radius_x, radius_y, shift_x, shift_y in bumps:
            across = np.exp(-0.5 * ((xs - centre_x) / radius_x) ** 2)
            down = np.exp(-0.5 * ((ys - centre_y) / radius_y) ** 2)
            base += SCALE * (down[:, None] * across)[..., None] * np.array([shift_x, shift_y], np.float32)
    return bases


@lru_cache(maxsize=1)
def _pixels() -> tuple[Array, Array]:
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32) + np.float32(0.5)
    return x, y
