"""The people of the demo set: one portrait, many looks and voices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Pair = tuple[float, float]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """What a subject looks like and where it sits.

    Attributes:
        skin: Gains of red, green and blue.
        hair: Likewise.
        suit: Turn of the hue in degrees.
        warps: Amplitudes of the identity warps, each within [-1, 1], by name.
        size: Picture pixels to one portrait pixel.
        place: Where the face is, as offsets in picture pixels.
        light: Direction (radians) and strength of the light, and its warmth.
        wall: Seed of the background.
        noise: Standard deviation of the camera's noise in grey levels.
    """

    skin: Triple
    hair: Triple
    suit: float
    warps: dict[str, float]
    size: float
    place: Pair
    light: Triple
    wall: int
    noise: float


@dataclass(frozen=True)
class Voice:
    """What a subject sounds like.

    Attributes:
        pitch: Usual fundamental frequency in Hz.
        formants: Factor on all formant frequencies: smaller for a longer vocal tract.
        breath: Share of breath in voiced sound, 0 to 1.
        tilt: Fall of the glottal spectrum in dB an octave.
        room: Level of the room's noise.
    """

    pitch: float
    formants: float
    breath: float
    tilt: float
    room: float


@dataclass(frozen=True)
class Subject:
    """One person.

    Attributes:
        number: From 0.
        age: Years; halves occur.
        country: One of the two of the challenge.
        frame_rate: Of the subject's camera, in frames a second.
        expressiveness: Factor on all that shows.
        look: The face and the room.
        voice: The voice.
    """

    number: int
    age: float
    country: str
    frame_rate: int
    expressiveness: float
    look: Look
    voice: Voice


IDENTITY_WARPS: tuple[str, ...] = (
    "face width",
    "jaw width",
    "chin length",
    "eye distance",
    "eye size",
    "nose width",
    "mouth width",
    "hair volume",
)
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
        skin=_triple(skin),
        hair=_triple(hair),
        suit=float(random.uniform(0, 360)),
        warps={name: float(random.uniform(-0.75, 0.75)) for name in IDENTITY_WARPS},
        size=float(size),
        place=(float(random.uniform(-26, 26)), float(random.uniform(0, 10))),
        light=(
            float(random.uniform(0, 2 * np.pi)),
            float(random.uniform(0.03, 0.12)),
            float(random.uniform(-0.03, 0.03)),
        ),
        wall=int(random.integers(1 << 31)),
        noise=float(random.uniform(1.0, 3.0)),
    )
    deep = random.random() < 0.45
    voice = Voice(
        pitch=float(random.uniform(95, 140) if deep else random.uniform(170, 235)),
        formants=float(random.uniform(0.88, 0.98) if deep else random.uniform(1.0, 1.12)),
        breath=float(random.uniform(0.02, 0.12)),
        tilt=float(random.uniform(-11, -8)),
        room=float(10 ** random.uniform(-3.4, -2.7)),
    )
    return Subject(
        number=number,
        age=float(random.integers(37, 100)) / 2,
        country=str(random.choice(["United States", "South Africa"])),
        frame_rate=int(random.choice([10, 12])),
        expressiveness=float(random.uniform(0.85, 1.15)),
        look=look,
        voice=voice,
    )


def _triple(values: tuple[float, ...]) -> Triple:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
