"""MFCCs and log-mel spectra: short windows of sound, gathered into rows of a longer hop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eri.config import LogMelConfig, MFCCConfig, Runtime
from eri.extractors.base import Prepared, State
from eri.extractors.preparing import FramePreparer
from eri.extractors.running import library_versions
from eri.extractors.spectra import MelSpectra
from eri.media.audio import SAMPLE_RATE

_RULES = 1
"""Version of the rules in this family: raised when its numbers change for the same settings."""

_FRAMES_AT_ONCE = 4096


class MelExtractor:
    """Mel-frequency cepstral coefficients or log-mel spectra, one row a hop.

    The spectra are described at :class:`~eri.extractors.spectra.MelSpectra`. A row is the mean of the spectra whose
    middle lies in its hop, with their (population) deviation beside it where ``statistics`` is ``mean-std``; its
    time is their mean time. Nothing is learnt and nothing depends on the whole clip's level, so a row is the same
    wherever it stands in a clip.

    Everything runs on the CPU, piece by piece, whatever device other features use: memory does not grow with a clip's
    length but by the rows themselves.

    Args:
        config: Windows, bands, coefficients and rows.
        runtime: Without influence.
    """

    def __init__(self, config: MFCCConfig | LogMelConfig, runtime: Runtime) -> None:
        self.name: str = config.extractor
        self.modality: Literal["visual", "audio"] = "audio"
        self._config = config
        self._spectra = MelSpectra(
            window=round(config.window * SAMPLE_RATE),
            step=round(config.step * SAMPLE_RATE),
            rate=SAMPLE_RATE,
            bands=config.mel_bands,
            scale=config.mel_scale,
            coefficients=config.coefficients if isinstance(config, MFCCConfig) else None,
            deltas=config.deltas,
        )
        self.dimension = len(self.columns)

    @property
    def columns(self) -> list[str]:
        """What each value of an embedding is, such as ``mfcc_00`` or ``delta_mfcc_00_std``."""
        base = "mfcc" if isinstance(self._config, MFCCConfig) else "logmel"
        names = [
            f"{order}{base}_{index:02d}"
            for order in ("", "delta_", "delta2_")[: self._config.deltas + 1]
            for index in range(self._spectra.size)
        ]
        if self._config.statistics == "mean":
            return names
        return [f"{name}_{statistic}" for statistic in ("mean", "std") for name in names]

    @property
    def preparer(self) -> FramePreparer:
        """The part that decodes sound."""
        hop = None if self._config.hop is None else round(self._config.hop * SAMPLE_RATE)
        return FramePreparer(self._spectra.window, self._spectra.step, hop, SAMPLE_RATE)

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers, as JSON values."""
        return {
            "family": self.name,
            "rules": _RULES,
            "spectra": self._spectra.identity(),
            "hop": self.preparer.hop,
            "statistics": self._config.statistics,
            "columns": self.columns,
            "versions": library_versions("av", "torch", "torchaudio"),
        }

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Describe clips one by one; each result is float32 (valid rows of that clip, dimension)."""
        results = []
        for clip in prepared:
            valid = clip.states == State.VALID
            empty = np.zeros((0, self.dimension), dtype=np.float32)
            results.append(self._rows(clip.inputs)[valid] if valid.any() else empty)
        return results

    def _rows(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return every row of a clip's sound, silent ones too, float32 (rows, dimension)."""
        frames = self.preparer.frames(len(samples))
        groups = self.preparer.groups(frames)
        spread = self._config.statistics == "mean-std"
        sums = np.zeros((1 + spread, groups[-1] + 1, self._spectra.dimension))
        for first in range(0, frames, _FRAMES_AT_ONCE):
            last = min(frames, first + _FRAMES_AT_ONCE)
            values = self._spectra.compute(samples, first, last, frames).astype(np.float64)
            rows = groups[first:last]
            starts = np.flatnonzero(np.diff(rows, prepend=-1))
            for power in range(1 + spread):
                sums[power, rows[starts]] += np.add.reduceat(values ** (power + 1), starts)
        moments = sums / np.bincount(groups)[:, None]
        if spread:
            moments[1] = np.sqrt(np.maximum(moments[1] - moments[0] ** 2, 0.0))
        result: NDArray[np.float32] = np.concatenate(list(moments), axis=1).astype(np.float32)
        return result
