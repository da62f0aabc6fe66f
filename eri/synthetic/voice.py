"""A synthetic voice: harmonics and breath through formants, in bursts that differ by emotion.

Source and filter as in Fant (1960): voiced sound is a sum of harmonics of a moving fundamental whose strengths follow
the resonances of the vocal tract and the tilt of the glottal spectrum; breath is noise through the same resonances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.synthetic.subjects import Array, Performance, Voice

RATE = 16_000
"""Samples per second."""

_STEP = 80  # samples
_VOWELS: dict[str, tuple[float, float, float]] = {
    "a": (800, 1250, 2600), "o": (480, 850, 2500), "u": (330, 750, 2300), "i": (300, 2250, 3000),
    "e": (450, 1900, 2600), "ə": (550, 1450, 2500), "m": (250, 1050, 2200),
}  # fmt: skip
_BANDWIDTHS = np.array([90.0, 120.0, 180.0, 260.0])


@dataclass(frozen=True, eq=False)
class _Utterance:
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
        _add(mixed, 0.05 * _render(_murmur(voice, random), voice, random), float(start))
    for event in performance.events:
        burst = _burst(event.label, voice, event.length, min(event.voice, 1.2), random)
        _add(mixed, 0.5 * event.voice * _render(burst, voice, random), event.start)
    return (mixed / max(1.0, float(np.abs(mixed).max()) / 0.98)).astype(np.float32)


def _add(mixed: Array, part: Array, start: float) -> None:
    begin = round(start * RATE)
    part = part[: max(0, len(mixed) - begin)]
    mixed[begin : begin + len(part)] += part


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


def _murmur(voice: Voice, random: np.random.Generator) -> _Utterance:
    """One quiet syllable of neutral speech."""
    t = _steps(random.uniform(0.12, 0.25))
    pitch = voice.pitch * 2.0 ** ((random.uniform(-2, 1) - 2 * t) / 12.0)
    first, last = (str(vowel) for vowel in random.choice(["a", "o", "e", "ə", "u"], size=2))
    return _Utterance(pitch, _swell(t, 0.2, 0.4), np.full(len(t), 0.1), (first, last))


def _burst(label: str, voice: Voice, length: float, strength: float, random: np.random.Generator) -> _Utterance:
    """Return the burst of an emotion: its pitch in semitones above the speaker's own, its loudness and its breath."""
    t = _steps(min(length, 0.55) if label == "Surprise" else length)
    vowels, tilt = ("u", "o"), 1
    if label == "Adoration":  # a long soft "aww" that rises a little and falls
        semitones = 1 + 4 * strength * np.sin(np.pi * np.minimum(1.6 * t, 1)) - 5 * t
        loudness, breath, vowels, tilt = 0.6 * _swell(t, 0.35, 0.5), 0.15 * _swell(t, 0.3, 0.3), ("a", "o"), -4
    elif label == "Amusement":  # laughter: breathy "ha" four to five times a second, falling
        beat = (t * length * random.uniform(4.2, 5.2)) % 1.0
        voiced = np.clip(np.sin(np.pi * np.clip((beat - 0.3) / 0.5, 0, 1)), 0, 1)
        semitones = 5 + 2 * strength - 5 * t + 2 * voiced
        loudness, breath = 0.8 * voiced * _swell(t, 0.05, 0.5), 0.5 * (beat < 0.35) * _swell(t, 0.02, 0.4)
        vowels = ("a", "ə")
    elif label == "Anxiety":  # a trembling, hesitant "uh" at raised pitch
        tremor = np.sin(2 * np.pi * 9.5 * (t * length))
        semitones = 3 + 2 * strength + 1.3 * tremor + 0.4 * random.normal(size=len(t))
        gate = (t * length * random.uniform(2.2, 2.8)) % 1.0 < 0.72
        loudness, breath = 0.6 * gate * (0.65 + 0.35 * tremor) * _swell(t, 0.1, 0.15), 0.2 * gate.astype(np.float64)
        vowels, tilt = ("ə", "e"), -1
    elif label == "Disgust":  # a creaky, nasal "eugh" at the bottom of the voice
        semitones = -5 - 3 * strength * t + 0.3 * random.normal(size=len(t))
        loudness = 0.8 * _swell(t, 0.08, 0.3) * (0.35 + 0.65 * ((np.arange(len(t)) // 3) % 2))
        breath, vowels, tilt = 0.25 * _swell(t, 0.1, 0.3), ("i", "u"), 2
    elif label == "Empathic-Pain":  # a hiss of breath drawn in, then a long falling moan
        semitones = 2 - 9 * np.clip((t - 0.3) / 0.7, 0, 1) * (0.5 + 0.5 * strength)
        loudness = 0.8 * (_swell((t - 0.3) / 0.7, 0.2, 0.6) * (t > 0.3))
        breath, vowels, tilt = 1.1 * np.clip(1 - np.abs(t - 0.14) / 0.12, 0, 1), ("u", "m"), -3
    elif label == "Fear":  # a gasp and a bright, high, rough cry
        semitones = 10 + 4 * strength * np.sqrt(t) + 0.5 * random.normal(size=len(t))
        loudness = _swell((t - 0.2) / 0.8, 0.1, 0.25) * (t > 0.2)
        breath, vowels, tilt = 0.9 * np.clip(1 - np.abs(t - 0.1) / 0.1, 0, 1) + 0.3 * loudness, ("a", "i"), 5
    else:  # surprise: a short "oh!" whose pitch leaps up
        semitones = -1 + (6 + 6 * strength) * np.clip(t / 0.6, 0, 1) ** 2
        loudness, breath = 0.9 * _swell(t, 0.04, 0.35), 0.1 * _swell(t, 0.05, 0.2)
    return _Utterance(voice.pitch * 2.0 ** (semitones / 12.0), loudness, breath, vowels, tilt)


def _render(part: _Utterance, voice: Voice, random: np.random.Generator) -> Array:
    """Turn a description into samples, float64 (samples,)."""
    steps = len(part.pitch)
    samples = np.arange(steps * _STEP)
    at = samples / _STEP
    pitch = np.interp(at, np.arange(steps), part.pitch * (1 + 0.006 * random.normal(size=steps)))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    first, last = (np.array([*_VOWELS[vowel], 3500.0]) * voice.formants for vowel in part.vowels)
    formants = first + np.linspace(0, 1, steps)[:, None] * (last - first)
    voiced = np.zeros(len(samples))
    double = 2 * np.cos(phase)
    previous, current = np.ones(len(samples)), np.cos(phase)
    for harmonic in range(1, min(45, int(7600 / part.pitch.min())) + 1):
        frequency = harmonic * part.pitch
        strength = _tract(frequency, formants) * harmonic ** ((voice.tilt + part.tilt) / 6.02)
        strength = strength * (frequency < 7600) * part.loudness
        voiced += np.interp(at, np.arange(steps), strength) * current
        # cos((h + 1) φ) from the two before it
        previous, current = current, double * current - previous
    # The noise is brightened, and of unit deviation.
    frequencies = np.fft.rfftfreq(len(samples), 1 / RATE)
    gain = _tract(frequencies, np.broadcast_to(formants.mean(axis=0), (len(frequencies), 4)))
    gain = gain * np.sqrt(np.maximum(frequencies, 50.0) / 1000.0)
    spectrum = np.fft.rfft(random.normal(size=len(samples))) * gain
    noise = np.asarray(np.fft.irfft(spectrum, len(samples)), dtype=np.float64)
    noise = noise / max(float(noise.std()), 1e-9)
    breath = np.interp(at, np.arange(steps), part.breath + voice.breath * part.loudness)
    return 0.35 * voiced + 0.3 * breath * noise


def _tract(frequency: NDArray[np.floating[Any]], formants: Array) -> Array:
    """Gain of the vocal tract, formants (steps, 4) at one frequency per step."""
    gain = np.zeros(len(frequency))
    for index, width in enumerate(_BANDWIDTHS):
        gain += 0.6**index / np.sqrt(1 + ((frequency - formants[:, index]) / width) ** 2)
    return gain
