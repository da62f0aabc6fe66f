"""A synthetic voice: harmonics and breath through formants, in bursts that differ by emotion.

Source and filter as in Fant (1960): voiced sound is a sum of harmonics of a moving fundamental whose strengths follow
the resonances of the vocal tract and the tilt of the glottal spectrum; breath is noise through the same resonances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.synthetic.performance import Performance
from eri.synthetic.subjects import Voice

RATE = 16_000
"""Samples per second."""

Array = NDArray[np.float64]

_STEP = 80
_VOWELS: dict[str, tuple[float, float, float]] = {
    "a": (800, 1250, 2600),
    "o": (480, 850, 2500),
    "u": (330, 750, 2300),
    "i": (300, 2250, 3000),
    "e": (450, 1900, 2600),
    "ə": (550, 1450, 2500),
    "m": (250, 1050, 2200),
}
_BANDWIDTHS = np.array([90.0, 120.0, 180.0, 260.0])


@dataclass(frozen=True, eq=False)
class Sound:
    """A stretch of voice, described at steps of 5 ms; the arrays are (steps,)."""

    pitch: Array  # Hz
    loudness: Array  # of the voiced part
    breath: Array  # of the noise
    vowels: tuple[str, str]  # at the beginning and at the end
    tilt: float = 0.0  # added to the speaker's own, dB per octave: larger is brighter


def speak(performance: Performance, voice: Voice, random: np.random.Generator) -> NDArray[np.float32]:
    """Return the audio of a clip, float32 (samples,) mono at :data:`RATE` within [-1, 1]."""
    samples = round(performance.duration * RATE)
    mixed = _room(samples, random) * voice.room
    for start in np.arange(random.uniform(0, 0.5), performance.duration - 0.4, random.uniform(0.5, 1.0)):
        mixed = _add(mixed, 0.05 * _render(_murmur(voice, random), voice, random), float(start))
    for event in performance.events:
        burst = _BURSTS[event.label](voice, event.length, min(event.voice, 1.2), random)
        mixed = _add(mixed, 0.5 * event.voice * _render(burst, voice, random), event.start)
    loudest = float(np.abs(mixed).max())
    return (mixed / max(1.0, loudest / 0.98)).astype(np.float32)


def _add(mixed: Array, part: Array, start: float) -> Array:
    begin = round(start * RATE)
    part = part[: max(0, len(mixed) - begin)]
    mixed[begin : begin + len(part)] += part
    return mixed


def _room(samples: int, random: np.random.Generator) -> Array:
    """Noise that falls by 3 dB an octave, with a trace of mains hum."""
    spectrum = np.fft.rfft(random.normal(size=samples))
    spectrum /= np.sqrt(np.maximum(np.fft.rfftfreq(samples, 1 / RATE), 40.0) / 200.0)
    hum = 0.4 * np.sin(2 * np.pi * 100 * np.arange(samples) / RATE + random.uniform(0, 6))
    return np.asarray(np.fft.irfft(spectrum, samples), dtype=np.float64) + hum


def _steps(length: float) -> Array:
    return np.linspace(0, 1, max(8, round(length * RATE / _STEP)))


def _swell(t: Array, attack: float, release: float) -> Array:
    return np.clip(t / attack, 0, 1) * np.clip((1 - t) / release, 0, 1)


def _semitones(values: Array) -> Array:
    return np.asarray(2.0 ** (values / 12.0), dtype=np.float64)


def _murmur(voice: Voice, random: np.random.Generator) -> Sound:
    """One quiet syllable of neutral speech."""
    t = _steps(random.uniform(0.12, 0.25))
    pitch = voice.pitch * _semitones(random.uniform(-2, 1) - 2 * t)
    first, last = (str(vowel) for vowel in random.choice(["a", "o", "e", "ə", "u"], size=2))
    return Sound(pitch, _swell(t, 0.2, 0.4), np.full(len(t), 0.1), (first, last))


def _adoration(voice: Voice, length: float, strength: float, random: np.random.Generator) -> Sound:
    """A long soft "aww" that rises a little and falls."""
    t = _steps(length)
    pitch = voice.pitch * _semitones(1 + 4 * strength * np.sin(np.pi * np.minimum(1.6 * t, 1)) - 5 * t)
    return Sound(pitch, 0.6 * _swell(t, 0.35, 0.5), 0.15 * _swell(t, 0.3, 0.3), ("a", "o"), tilt=-4)


def _amusement(voice: Voice, length: float, strength: float, random: np.random.Generator) -> Sound:
    """Laughter: breathy "ha" four to five times a second, falling."""
    t = _steps(length)
    beat = (t * length * random.uniform(4.2, 5.2)) % 1.0
    voiced = np.clip(np.sin(np.pi * np.clip((beat - 0.3) / 0.5, 0, 1)), 0, 1)
    pitch = voice.pitch * _semitones(5 + 2 * strength - 5 * t + 2 * voiced)
    return Sound(
        pitch, 0.8 * voiced * _swell(t, 0.05, 0.5), 0.5 * (beat < 0.35) * _swell(t, 0.02, 0.4), ("a", "ə"), tilt=1
    )


def _anxiety(voice: Voice, length: float, strength: float, random: np.random.Generator) -> Sound:
    """A trembling, hesitant "uh" at raised pitch."""
    t = _steps(length)
    seconds = t * length
    tremor = np.sin(2 * np.pi * 9.5 * seconds)
    pitch = voice.pitch * _semitones(3 + 2 * strength + 1.3 * tremor + 0.4 * random.normal(size=len(t)))
    gate = (seconds * random.uniform(2.2, 2.8)) % 1.0 < 0.72
    loudness = 0.6 * gate * (0.65 + 0.35 * tremor) * _swell(t, 0.1, 0.15)
    return Sound(pitch, loudness, 0.2 * gate.astype(np.float64), ("ə", "e"), tilt=-1)


def _disgust(voice: Voice, length: float, strength: float, random: np.random.Generator) -> Sound:
    """A creaky, nasal "eugh" at the bottom of the voice."""
    t = _steps(length)
    creak = (np.arange(len(t)) // 3) % 2
    pitch = voice.pitch * _semitones(-5 - 3 * strength * t + 0.3 * random.normal(size=len(t)))
    return Sound(
        pitch, 0.8 * _swell(t, 0.08, 0.3) * (0.35 + 0.65 * creak), 0.25 * _swell(t, 0.1, 0.3), ("i", "u"), tilt=2
    )


def _empathic_pain(voice: Voice, length: float, strength: float, random: np.random.Generator) -> Sound:
    """A hiss of breath drawn in, then a long falling moan."""
    t = _steps(length)
    hiss, moan = np.clip(1 - np.abs(t - 0.14) / 0.12, 0, 1), _swell((t - 0.3) / 0.7, 0.2, 0.6) * (t > 0.3)
    pitch = voice.pitch * _semitones(2 - 9 * np.clip((t - 0.3) / 0.7, 0, 1) * (0.5 + 0.5 * strength))
    return Sound(pitch, 0.8 * moan, 1.1 * hiss, ("u", "m"), tilt=-3)


def _fear(voice: Voice, length: float, strength: float, random: np.random.Generator) -> Sound:
    """A gasp and a bright, high, rough cry."""
    t = _steps(length)
    gasp, cry = np.clip(1 - np.abs(t - 0.1) / 0.1, 0, 1), _swell((t - 0.2) / 0.8, 0.1, 0.25) * (t > 0.2)
    pitch = voice.pitch * _semitones(10 + 4 * strength * np.sqrt(t) + 0.5 * random.normal(size=len(t)))
    return Sound(pitch, cry, 0.9 * gasp + 0.3 * cry, ("a", "i"), tilt=5)


def _surprise(voice: Voice, length: float, strength: float, random: np.random.Generator) -> Sound:
    """A short "oh!" whose pitch leaps up."""
    t = _steps(min(length, 0.55))
    pitch = voice.pitch * _semitones(-1 + (6 + 6 * strength) * np.clip(t / 0.6, 0, 1) ** 2)
    return Sound(pitch, 0.9 * _swell(t, 0.04, 0.35), 0.1 * _swell(t, 0.05, 0.2), ("u", "o"), tilt=1)


_BURSTS: dict[str, Callable[[Voice, float, float, np.random.Generator], Sound]] = {
    "Adoration": _adoration,
    "Amusement": _amusement,
    "Anxiety": _anxiety,
    "Disgust": _disgust,
    "Empathic-Pain": _empathic_pain,
    "Fear": _fear,
    "Surprise": _surprise,
}


def _render(sound: Sound, voice: Voice, random: np.random.Generator) -> Array:
    """Turn a description into samples, float64 (samples,)."""
    steps = len(sound.pitch)
    samples = np.arange(steps * _STEP)
    at = samples / _STEP
    pitch = np.interp(at, np.arange(steps), sound.pitch * (1 + 0.006 * random.normal(size=steps)))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    first, last = (np.array([*_VOWELS[vowel], 3500.0]) * voice.formants for vowel in sound.vowels)
    formants = first + np.linspace(0, 1, steps)[:, None] * (last - first)
    voiced = np.zeros(len(samples))
    double = 2 * np.cos(phase)
    previous, current = np.ones(len(samples)), np.cos(phase)
    for harmonic in range(1, min(45, int(7600 / sound.pitch.min())) + 1):
        frequency = harmonic * sound.pitch
        strength = _tract(frequency, formants) * harmonic ** ((voice.tilt + sound.tilt) / 6.02)
        strength = strength * (frequency < 7600) * sound.loudness
        voiced += np.interp(at, np.arange(steps), strength) * current
        # cos((h + 1) φ) from the two before it
        previous, current = current, double * current - previous
    noise = _breath(len(samples), formants.mean(axis=0), random)
    breath = np.interp(at, np.arange(steps), sound.breath + voice.breath * sound.loudness)
    return 0.35 * voiced + 0.3 * breath * noise


def _tract(frequency: NDArray[np.floating[Any]], formants: NDArray[np.floating[Any]]) -> Array:
    """Gain of the vocal tract, formants (steps, 4) at one frequency a step."""
    gain = np.zeros(len(frequency))
    for index in range(formants.shape[1]):
        centre, width = formants[:, index], _BANDWIDTHS[index]
        gain += 0.6**index / np.sqrt(1 + ((frequency - centre) / width) ** 2)
    return gain


def _breath(samples: int, formants: Array, random: np.random.Generator) -> Array:
    """Noise shaped by formants and brightened, of unit deviation."""
    frequency = np.fft.rfftfreq(samples, 1 / RATE)
    gain = _tract(frequency, np.broadcast_to(formants, (len(frequency), 4))) * np.sqrt(
        np.maximum(frequency, 50.0) / 1000.0
    )
    noise = np.asarray(np.fft.irfft(np.fft.rfft(random.normal(size=samples)) * gain, samples), dtype=np.float64)
    return noise / max(float(noise.std()), 1e-9)
