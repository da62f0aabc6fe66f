"""How the generated expressions are acted: seven classes that come and go, and ones that only come or only go."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from eri.synthetic.performance import Event, Performance, Reaction

_LENGTH = (0.6, 0.95)

EXPRESSIONS: MappingProxyType[str, Reaction] = MappingProxyType(
    {
        "anger": Reaction({"AU4": 1.25, "AU7": 1.0, "AU17": 1.0, "AU18": 0.5, "pitch": 0.5}, 1, 0, _LENGTH, lean=0.06),
        "disgust": Reaction(
            {"AU9": 1.25, "AU10": 1.25, "AU4": 0.6, "AU7": 0.6, "AU25": 0.4, "yaw": 0.8}, 1, 0, _LENGTH
        ),
        "fear": Reaction(
            {"AU1": 1.0, "AU2": 0.6, "AU4": 0.5, "AU5": 1.1, "AU20": 1.25, "AU25": 1.2}, 1, 0, _LENGTH, lean=-0.06
        ),
        "happiness": Reaction({"AU12": 1.25, "AU6": 1.0, "AU7": 0.4, "AU25": 1.25}, 1, 0, _LENGTH, roll=3.0),
        "neutral": Reaction({}, 1, 0, _LENGTH),
        "sadness": Reaction(
            {"AU1": 1.0, "AU4": 0.6, "AU15": 1.25, "AU43": 0.5, "pitch": 0.8}, 1, 0, _LENGTH, lift=-4.0
        ),
        "surprise": Reaction({"AU1": 1.1, "AU2": 1.1, "AU5": 1.0, "AU26": 1.1, "pitch": -0.3}, 1, 0, _LENGTH, lift=4.0),
    }
)
"""Prototypes after Ekman & Friesen (1978), simplified; their lengths are shares of a clip."""

RISING: tuple[str, ...] = ("happiness", "surprise")
"""The expressions that rise or fall in a set of directions: those that change most of the face."""

_RISE = 0.25
"""The share of an event that its onset takes, see :meth:`eri.synthetic.performance.Event.envelope`."""


def act(random: np.random.Generator, label: str, expressiveness: float, duration: float) -> Performance:
    """Draw a clip of one expression: its onset, apex and offset lie somewhere in it, with the face at rest around them.

    Args:
        random: The clip's own source of chance.
        label: One of :data:`EXPRESSIONS`.
        expressiveness: Of the subject, about 1.
        duration: Seconds.

    Examples:
        >>> [event.label for event in act(np.random.default_rng(0), "fear", 1.0, 2.0).events]
        ['fear']
    """
    length = duration * float(random.uniform(*EXPRESSIONS[label].length))
    start = float(random.uniform(0.0, duration - length))
    return _perform(random, Event(label, start, length, _strength(random, expressiveness), 0.0), duration)


def rise(random: np.random.Generator, expressiveness: float, duration: float) -> Performance:
    """Draw a clip in which one of :data:`RISING` grows from rest to its apex, evenly over the whole clip.

    Args:
        random: The clip's own source of chance.
        expressiveness: Of the subject, about 1.
        duration: Seconds.
    """
    label = RISING[int(random.integers(len(RISING)))]
    return _perform(random, Event(label, 0.0, duration / _RISE, _strength(random, expressiveness), 0.0), duration)


def _strength(random: np.random.Generator, expressiveness: float) -> float:
    return expressiveness * float(random.uniform(0.8, 1.15))


def _perform(random: np.random.Generator, event: Event, duration: float) -> Performance:
    blink = float(random.uniform(0, 2 * duration))  # every other clip has one
    return Performance(
        duration, (), (event,), (blink,) if blink < duration else (), random.uniform(0, 2 * np.pi, size=6)
    )
