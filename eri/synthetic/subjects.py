"""The people of the demo set: one portrait, many looks and voices; what they feel, and how it moves face and head.

Some emotions show more in the face and others more in the voice, so that the two together tell more than either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eri.config.tasks import ERI
from eri.synthetic.face import UNITS, Bump, smoothstep

Array = NDArray[np.float64]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """What a subject looks like and where it sits."""

    skin: Triple  # gains of red, green and blue
    hair: Triple  # likewise
    suit: float  # shift of the hue in degrees
    warps: dict[str, float]  # amplitudes of WARPS, each within [-1, 1]
    size: float  # image pixels to one portrait pixel
    place: tuple[float, float]  # where the face is, as offsets in image pixels
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

    age: float  # years; halves occur
    country: str  # one of the two of the challenge
    frame_rate: int  # of the subject's camera, in frames per second
    expressiveness: float  # factor on everything that shows
    look: Look
    voice: Voice


WARPS: dict[str, tuple[Bump, ...]] = {
    "face width": ((185, 130, 22, 45, -5, 0), (266, 130, 22, 45, 5, 0)),
    "jaw width": ((195, 165, 16, 16, -4, 0), (250, 165, 16, 16, 4, 0)),
    "chin length": ((222, 174, 24, 16, 0, 4.5),),
    "eye distance": ((203, 98, 16, 14, -2.5, 0), (246, 101, 16, 14, 2.5, 0)),
    "eye size": (
        (203, 96, 13, 8, 0, -1.2), (246, 98, 13, 8, 0, -1.2), (203, 106, 13, 8, 0, 1.2), (246, 108, 13, 8, 0, 1.2),
    ),
    "nose width": ((211, 124, 9, 12, -2.5, 0), (236, 125, 9, 12, 2.5, 0)),
    "mouth width": ((205, 143, 13, 10, -3, 0), (242, 143, 13, 10, 3, 0)),
    "hair volume": ((165, 80, 25, 40, -7, 0), (290, 80, 25, 40, 7, 0), (222, 25, 50, 22, 0, -6)),
}  # fmt: skip
"""What makes one face another."""


@dataclass(frozen=True)
class Reaction:
    """How one emotion looks at full intensity."""

    units: dict[str, float]  # amplitudes of action units by their number, or of ``yaw`` and ``pitch``
    face: float  # how strongly it shows in the face, 0 to 1
    voice: float  # how strongly it shows in the voice, 0 to 1
    length: tuple[float, float]  # shortest and longest duration of one event in seconds
    roll: float = 0.0  # tilt of the head in degrees
    lift: float = 0.0  # upward motion of the head in portrait pixels
    lean: float = 0.0  # motion towards the camera, as a share of the size
    shake: tuple[float, float, str] = (0.0, 1.0, "y")  # rhythmic motion of the head: pixels, Hz, direction x or y


REACTIONS: dict[str, Reaction] = {
    "Adoration": Reaction(
        {"AU12": 0.8, "AU6": 0.7, "AU1": 0.8, "AU43": 0.5}, 1.1, 0.08, (1.4, 2.2), roll=8.0, lean=0.03),
    "Amusement": Reaction(
        {"AU12": 1.3, "AU6": 1.0, "AU7": 0.7, "AU25": 1.6, "AU26": 0.5, "pitch": -0.5},
        1.1, 0.15, (1.3, 2.1), shake=(2.5, 3.5, "y")),
    "Anxiety": Reaction({"AU1": 0.8, "AU4": 0.9, "AU20": 0.5, "AU17": 0.4}, 0.6, 1, (1.4, 2.2), shake=(1.5, 6.0, "x")),
    "Disgust": Reaction(
        {"AU9": 1.3, "AU10": 1.3, "AU4": 1.0, "AU7": 0.9, "AU25": 0.5, "yaw": 1.0},
        1.1, 0.06, (1.3, 2.0), roll=-5.0, lean=-0.04),
    "Empathic-Pain": Reaction(
        {"AU1": 0.9, "AU4": 0.7, "AU15": 1.0, "AU7": 0.5, "pitch": 0.8},
        0.6, 1.0, (1.4, 2.2), lift=-4.0, shake=(2.0, 1.2, "x")),
    "Fear": Reaction(
        {"AU1": 0.9, "AU2": 0.7, "AU4": 0.5, "AU5": 1.0, "AU20": 1.1, "AU25": 1.2},
        0.6, 1.0, (1.1, 1.8), lift=3.0, lean=-0.06),
    "Surprise": Reaction(
        {"AU1": 1.0, "AU2": 1.0, "AU5": 1.0, "AU26": 1.0, "AU18": 0.5, "pitch": -0.3}, 1.1, 0.12, (1.1, 1.8), lift=5.0),
}  # fmt: skip
"""After the prototypes of Ekman & Friesen (1978) and Cordaro et al. (2018), simplified."""


@dataclass(frozen=True)
class Event:
    """One time an emotion shows."""

    label: str
    start: float  # seconds from the clip's start
    length: float  # seconds until it has gone
    face: float  # strength of the expression
    voice: float  # strength of the vocalisation

    def envelope(self, times: Array) -> Array:
        """Return onset, apex and offset as values in [0, 1]."""
        t = (times - self.start) / self.length
        return np.asarray(smoothstep(t / 0.25) * smoothstep((1.0 - t) / 0.35))


@dataclass(frozen=True, eq=False)
class Performance:
    """Everything that happens in one clip, before it is drawn and voiced."""

    duration: float  # seconds
    labels: tuple[float, ...]  # what the subject says it felt, as shares of the strongest: as the challenge has them
    events: tuple[Event, ...]
    blinks: tuple[float, ...]  # seconds
    sway: Array  # phases of the small motion that never stops, (6,)


@dataclass(frozen=True, eq=False)
class Motion:
    """A performance as motion of face and head, one row per frame."""

    units: NDArray[np.float32]  # amplitudes of eri.synthetic.face.UNITS, (frames, units)
    roll: Array  # radians, (frames,)
    shift: Array  # of the head in portrait pixels, (frames, 2)
    lean: Array  # relative change of size, (frames,)


def create_subject(seed: int, number: int) -> Subject:
    """Draw a subject; the same seed and number give the same one."""
    random = np.random.default_rng([seed, 1, number])
    tone = random.uniform(0.72, 1.04)
    skin = (tone, tone ** random.uniform(1.1, 1.25), tone ** random.uniform(1.3, 1.5))
    shade = random.uniform(0.5, 1.1)
    hair = (shade * random.uniform(0.95, 1.1), shade * random.uniform(0.92, 1.0), shade * random.uniform(0.85, 1.05))
    size, suit = random.uniform(1.1, 1.3), random.uniform(0, 360)
    warps = {name: random.uniform(-0.75, 0.75) for name in WARPS}
    place = (random.uniform(-26, 26), random.uniform(0, 10))
    light = (random.uniform(0, 2 * np.pi), random.uniform(0.03, 0.12), random.uniform(-0.03, 0.03))
    wall, noise = int(random.integers(1 << 31)), random.uniform(1.0, 3.0)
    look = Look(skin, hair, suit, warps, size, place, light, wall, noise)
    pitches, formants = ((95, 140), (0.88, 0.98)) if random.random() < 0.45 else ((170, 235), (1.0, 1.12))
    voice = Voice(
        pitch=random.uniform(*pitches),
        formants=random.uniform(*formants),
        breath=random.uniform(0.02, 0.12),
        tilt=random.uniform(-11, -8),
        room=10 ** random.uniform(-3.4, -2.7),
    )
    age = float(random.integers(37, 100)) / 2
    country = str(random.choice(["United States", "South Africa"]))
    return Subject(age, country, int(random.choice([10, 12])), random.uniform(0.85, 1.15), look, voice)


def perform(random: np.random.Generator, expressiveness: float, duration: float) -> Performance:
    """Draw what a subject of some expressiveness (about 1) feels in a clip of some seconds, and when it shows.

    One emotion is felt clearly, often a second and sometimes a third; the rest hardly.
    """
    felt = 0.3 * random.beta(1, 5, size=len(ERI.labels))
    count = int(random.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    chosen = random.choice(len(ERI.labels), size=count, replace=False)
    felt[chosen] = random.uniform(0.4, 1.0, size=count)
    felt[chosen[0]] = random.uniform(0.75, 1.0)
    events: list[Event] = []
    for label, intensity in zip(ERI.labels, felt, strict=True):
        reaction = REACTIONS[label]
        for _ in range(int(random.integers(1, 3)) if intensity > 0.3 else 1):
            length = random.uniform(*reaction.length) * (0.6 + 0.4 * intensity)
            start = random.uniform(0.1, max(0.15, duration - length - 0.1))
            face, voice = intensity * expressiveness * random.uniform(0.85, 1.15, size=2)
            events.append(Event(label, start, length, reaction.face * float(face), reaction.voice * float(voice)))
    ratings = np.clip(np.round(100 * (felt + random.normal(0, 0.1, felt.shape))), 1, 100).tolist()
    labels = tuple(round(rating / max(ratings), 4) for rating in ratings)
    blinks = [time for time in np.cumsum(random.uniform(1.2, 4.0, size=3)).tolist() if time < duration]
    return Performance(duration, labels, tuple(events), tuple(blinks), random.uniform(0, 2 * np.pi, size=6))


def move(performance: Performance, times: Array, reactions: Mapping[str, Reaction] = REACTIONS) -> Motion:
    """Return the motion of face and head at times in seconds, (frames,); ``reactions`` say how each event looks."""
    units = np.zeros((len(times), len(UNITS)), dtype=np.float64)
    roll, lean = np.zeros(len(times)), np.zeros(len(times))
    shift = np.zeros((len(times), 2))
    column = {name.split()[0]: index for index, name in enumerate(UNITS)}
    for event in performance.events:
        reaction, strength = reactions[event.label], event.face * event.envelope(times)
        for unit, amplitude in reaction.units.items():
            units[:, column[unit]] += amplitude * strength
        roll += np.deg2rad(reaction.roll) * strength
        lean += reaction.lean * strength
        shift[:, 1] -= reaction.lift * strength
        size, rate, direction = reaction.shake
        shift[:, "xy".index(direction)] += size * strength * np.sin(2 * np.pi * rate * (times - event.start))
    for blink in performance.blinks:
        units[:, column["AU43"]] += np.exp(-0.5 * ((times - blink) / 0.07) ** 2)
    sway = np.sin(2 * np.pi * np.outer(times, [0.23, 0.31, 0.17, 0.29, 0.41, 0.37]) + performance.sway)
    roll += np.deg2rad(0.8) * sway[:, 0]
    shift += 0.8 * sway[:, 1:3]
    units[:, column["yaw"]] += 0.1 * sway[:, 3]
    units[:, column["pitch"]] += 0.1 * sway[:, 4]
    lean += 0.005 * sway[:, 5]
    limits = np.where([name in ("yaw", "pitch") for name in UNITS], 1.0, 1.25)
    return Motion(np.clip(units, -limits, limits).astype(np.float32), roll, shift, lean)
