"""The people of the demo set: one portrait, many looks and voices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Pair = tuple[float, float]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """What a subject looks like and where it sits."""

    skin: Triple  # gains of red, green and blue
    hair: Triple  # likewise
    suit: float  # turn of the hue in degrees
    warps: dict[str, float]  # amplitudes of the warps that make one face another, each within [-1, 1]
    size: float  # picture pixels to one portrait pixel
    place: Pair  # where the face is, as offsets in picture pixels
    light: Triple  # direction (radians) and strength of the light, and its warmth
    wall: int  # seed of the background
    noise: float  # standard deviation of the camera's noise in grey levels


@dataclass(frozen=True)
class Voice:
    """What a subject sounds like."""

    pitch: float  # usual fundamental frequency in Hz
    formants: float  # factor on all formant frequencies: smaller for a longer vocal tract
    breath: float  # share of breath in voiced audio, 0 to 1
    tilt: float  # fall of the glottal spectrum in dB per octave
    room: float  # level of the room's noise


@dataclass(frozen=True)
class Subject:
    """One person."""

    number: int  # from 0
    age: float  # years; halves occur
    country: str  # one of the two of the challenge
    frame_rate: int  # of the subject's camera, in frames per second
    expressiveness: float  # factor on everything that shows
    look: Look
    voice: Voice


IDENTITY_WARPS = (
    "face width", "jaw width", "chin length", "eye distance", "eye size", "nose width", "mouth width", "hair volume",
)  # fmt: skip
"""Names of the warps that make one face another; :mod:`eri.synthetic.stage` says what they do."""


def create_subject(seed: int, number: int) -> Subject:
    """Draw a subject; the same seed and number give the same one.

    Examples:
        >>> create_subject(0, 3) == create_subject(0, 3)
        True
        >>> create_subject(0, 3).look == create_subject(0, 4).look
        False
    """
    random = np.random.default_rng([seed, 1, number])
    tone = random.uniform(0.72, 1.04)
    skin = (tone, tone ** random.uniform(1.1, 1.25), tone ** random.uniform(1.3, 1.5))
    shade = random.uniform(0.5, 1.1)
    hair = (shade * random.uniform(0.95, 1.1), shade * random.uniform(0.92, 1.0), shade * random.uniform(0.85, 1.05))
    size = random.uniform(1.1, 1.3)
    look = Look(
        skin=skin,
        hair=hair,
        suit=random.uniform(0, 360),
        warps={name: random.uniform(-0.75, 0.75) for name in IDENTITY_WARPS},
        size=size,
        place=(random.uniform(-26, 26), random.uniform(0, 10)),
        light=(random.uniform(0, 2 * np.pi), random.uniform(0.03, 0.12), random.uniform(-0.03, 0.03)),
        wall=int(random.integers(1 << 31)),
        noise=random.uniform(1.0, 3.0),
    )
    deep = random.random() < 0.45
    voice = Voice(
        pitch=random.uniform(95, 140) if deep else random.uniform(170, 235),
        formants=random.uniform(0.88, 0.98) if deep else random.uniform(1.0, 1.12),
        breath=random.uniform(0.02, 0.12),
        tilt=random.uniform(-11, -8),
        room=10 ** random.uniform(-3.4, -2.7),
    )
    return Subject(
        number=number,
        age=float(random.integers(37, 100)) / 2,
        country=str(random.choice(["United States", "South Africa"])),
        frame_rate=int(random.choice([10, 12])),
        expressiveness=random.uniform(0.85, 1.15),
        look=look,
        voice=voice,
    )
