"""eGeMAPS by openSMILE: functionals of sliding windows, or low-level descriptors averaged over a hop."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.config import EGeMAPSConfig, Runtime
from eri.extraction.extractors.base import BaseExtractor
from eri.extraction.extractors.preparing import WindowPreparer
from eri.features.records import Prepared
from eri.media.audio import SAMPLE_RATE
from eri.media.state import State
from eri.utils.errors import MissingDependencyError

_SET = "eGeMAPSv02"
_LEVELS = {"functionals": "Functionals", "low-level": "LowLevelDescriptors"}
_SHORTEST = 960  # samples (60 ms) under which openSMILE describes nothing
_STEP = 160  # samples from one low-level description to the next; so far from the start lies the first one's middle
_SECONDS_AT_ONCE = 300
_LOUDEST = np.float32(1 - 2.0**-15)  # openSMILE takes 16-bit audio, in which 1.0 would turn into -1.0


@dataclass(frozen=True)
class EGeMAPSPreparer(WindowPreparer):
    """Decodes a clip's audio and describes it: openSMILE runs on the CPU, so workers share this out."""

    level: str = "functionals"  # or low-level

    def finish(self, prepared: Prepared) -> Prepared:
        """Describe the valid rows of audio; ``inputs`` become the features, float32 (valid rows, dimension)."""
        valid = np.flatnonzero(prepared.states == State.VALID)
        smile = create_smile(self.level)
        if self.level == "low-level":
            return replace(prepared, inputs=self._descriptors(smile, prepared.inputs)[valid])
        described = np.empty((len(valid), smile.num_features), dtype=np.float32)
        for index, row in enumerate(valid):
            described[index] = describe(smile, prepared.inputs[row * self.hop : row * self.hop + self.window])[0]
        return replace(prepared, inputs=described)

    def _descriptors(self, smile: Any, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = self.count(len(samples))
        result = np.zeros((rows, smile.num_features), dtype=np.float32)
        # Whole rows at a time, so that memory does not grow with the clip.
        together = max(1, _SECONDS_AT_ONCE * self.rate // self.hop)
        for first in range(0, rows if len(samples) else 0, together):
            part = result[first : first + together]
            values = describe(smile, samples[first * self.hop : (first + len(part)) * self.hop])
            part[:] = _average(values, self.hop, len(part))
        return result


class EGeMAPSExtractor(BaseExtractor):
    """The extended Geneva minimalistic acoustic parameter set (Eyben et al. 2016), version 02, by openSMILE.

    ``functionals`` are the set's 88 statistics of each window; the last window is as short as the audio is, and audio
    under 60 ms is padded with zeros to that. ``low-level`` are its 25 descriptors every 10 ms, averaged over each hop;
    audio of more than 5 minutes is described in pieces of 5 minutes. A row's time is the middle of its window or hop.

    openSMILE takes 16-bit audio: samples are rounded towards zero to that. The work is done where audio is decoded.
    """

    name = family = "egemaps"
    libraries = ("av", "opensmile")

    def __init__(self, config: EGeMAPSConfig, runtime: Runtime) -> None:
        hop = round(config.hop * SAMPLE_RATE)
        window = hop if config.level == "low-level" else round((config.window or 1.0) * SAMPLE_RATE)
        self.preparer = EGeMAPSPreparer(window, hop, SAMPLE_RATE, config.level)
        self.columns: list[str] = list(create_smile(config.level).feature_names)
        self.dimension = len(self.columns)

    def settings(self) -> dict[str, Any]:
        """Return what determines the numbers beside family, rules and libraries."""
        return {
            "set": _SET,
            "level": self.preparer.level,
            "window": self.preparer.window,
            "hop": self.preparer.hop,
            "rate": SAMPLE_RATE,
            "columns": self.columns,
        }

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Return what the preparer described; each result is float32 (valid rows of that clip, dimension)."""
        return [np.array(clip.inputs, dtype=np.float32) for clip in prepared]


def create_smile(level: str) -> Any:
    """Return openSMILE with the set's configuration."""
    try:
        opensmile = importlib.import_module("opensmile")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "the features 'egemaps' need the package opensmile, which is not installed",
            hint="pip install 'eri[opensmile]' (openSMILE is free for research and education, not for commercial use)",
        ) from error
    return opensmile.Smile(getattr(opensmile.FeatureSet, _SET), getattr(opensmile.FeatureLevel, _LEVELS[level]))


def describe(smile: Any, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return openSMILE's description of a stretch of audio, mono in [-1, 1] at 16 kHz, padded with zeros to 60 ms.

    float32 (1, 88) for functionals, (descriptions, 25) for low-level descriptors.
    """
    audio = np.zeros(max(_SHORTEST, len(samples)), dtype=np.float32)
    np.clip(samples, -1.0, _LOUDEST, out=audio[: len(samples)])
    described: NDArray[np.float32] = smile(audio, SAMPLE_RATE)[0].T
    return described


def _average(values: NDArray[np.float32], hop: int, rows: int) -> NDArray[np.float32]:
    """Average descriptions over rows of ``hop`` samples; a row that holds the middle of none takes the nearest."""
    middles = (np.arange(len(values)) + 1) * _STEP
    groups = np.minimum(middles // hop, rows - 1)
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    means = np.add.reduceat(values.astype(np.float64), starts) / np.diff(starts, append=len(values))[:, None]
    nearest = np.abs(groups[starts] - np.arange(rows)[:, None]).argmin(axis=1)
    averaged: NDArray[np.float32] = means[nearest].astype(np.float32)
    return averaged
