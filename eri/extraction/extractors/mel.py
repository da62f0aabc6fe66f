"""MFCCs and log-mel spectra: short windows of audio, gathered into rows of a longer hop."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor

from eri.config import LogMelConfig, MFCCConfig, Runtime
from eri.extraction.extractors.base import BaseExtractor
from eri.extraction.extractors.preparing import FramePreparer
from eri.features.records import Prepared
from eri.media.audio import SAMPLE_RATE
from eri.media.state import State

_FLOOR = 1e-10
_DELTA_REACH = 2
_FRAMES_AT_ONCE = 4096


class MelExtractor(BaseExtractor):
    r"""Mel-frequency cepstral coefficients or log-mel spectra, one row a hop.

    Each frame is a Hann window (periodic, as librosa and torchaudio have it) of ``config.window`` seconds every
    ``config.step``, without padding at the ends; its power spectrum is taken over the next power of two, gathered by
    triangular mel filters from 0 Hz to half the sampling rate, and brought to decibels,
    :math:`10 \log_{10} \max(p, 10^{-10})`, without a floor that depends on the clip. Cepstral coefficients are the
    orthonormal DCT-II of these (Davis & Mermelstein 1980, eq. 1), from the zeroth on.

    ``slaney`` filters lie on the scale of Slaney's Auditory Toolbox (1998) and have equal area: the numbers are those
    of ``librosa.feature.mfcc`` with its defaults for the filters. ``htk`` filters lie on the scale
    :math:`2595 \log_{10}(1 + f / 700)` and have equal height (the HTK Book, eq. 5.13): those of torchaudio's defaults.
    A change over time is the regression over two frames to either side (the HTK Book, eq. 5.16), the ends repeated.

    A row is the mean of the spectra whose middle lies in its hop, with their (population) deviation beside it where
    ``statistics`` is ``mean-std``; its time is their mean time. Nothing is learnt and nothing depends on the whole
    clip's level, so a row is the same wherever it stands in a clip. Everything runs on the CPU, piece by piece: memory
    does not grow with a clip's length but by the rows themselves.
    """

    libraries = ("av", "torch", "torchaudio")

    def __init__(self, config: MFCCConfig | LogMelConfig, runtime: Runtime) -> None:
        self.name = self.family = config.extractor
        self._config = config
        self._window, self._step = round(config.window * SAMPLE_RATE), round(config.step * SAMPLE_RATE)
        self._points = 1 << (self._window - 1).bit_length()
        self._taper = torch.hann_window(self._window)
        bands, norm = config.mel_bands, "slaney" if config.mel_scale == "slaney" else None
        with warnings.catch_warnings():
            # With many bands the lowest filters hold no spectral line; they stay at the floor, which is harmless.
            warnings.filterwarnings("ignore", message="At least one mel filterbank", category=UserWarning)
            self._filters = torchaudio.functional.melscale_fbanks(
                self._points // 2 + 1, 0.0, SAMPLE_RATE / 2, bands, SAMPLE_RATE, norm=norm, mel_scale=config.mel_scale
            )
        self._coefficients = config.coefficients if isinstance(config, MFCCConfig) else None
        self._cosines = (
            torchaudio.functional.create_dct(self._coefficients, bands, norm="ortho") if self._coefficients else None
        )
        self.dimension = len(self.columns)

    @property
    def columns(self) -> list[str]:
        """What each value of an embedding is, such as ``mfcc_00`` or ``delta_mfcc_00_std``."""
        base = "logmel" if self._coefficients is None else "mfcc"
        names = [
            f"{order}{base}_{index:02d}"
            for order in ("", "delta_", "delta2_")[: self._config.deltas + 1]
            for index in range(self._coefficients or self._config.mel_bands)
        ]
        if self._config.statistics == "mean":
            return names
        return [f"{name}_{statistic}" for statistic in ("mean", "std") for name in names]

    @property
    def preparer(self) -> FramePreparer:
        """The part that decodes audio."""
        hop = None if self._config.hop is None else round(self._config.hop * SAMPLE_RATE)
        return FramePreparer(self._window, self._step, hop, SAMPLE_RATE)

    def settings(self) -> dict[str, Any]:
        """Return what determines the numbers beside family, rules and libraries."""
        spectra = {
            "window": self._window,
            "step": self._step,
            "points": self._points,
            "rate": SAMPLE_RATE,
            "bands": self._config.mel_bands,
            "scale": self._config.mel_scale,
            "coefficients": self._coefficients,
            "deltas": self._config.deltas,
        }
        statistics = self._config.statistics
        return {"spectra": spectra, "hop": self.preparer.hop, "statistics": statistics, "columns": self.columns}

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Describe clips one by one; each result is float32 (valid rows of that clip, dimension)."""
        empty = np.zeros((0, self.dimension), dtype=np.float32)
        valid = [clip.states == State.VALID for clip in prepared]
        return [
            self._rows(clip.inputs)[rows] if rows.any() else empty for clip, rows in zip(prepared, valid, strict=True)
        ]

    def _rows(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return every row of a clip's audio, silent ones too, float32 (rows, dimension)."""
        frames = self.preparer.frames(len(samples))
        groups = self.preparer.groups(frames)
        powers = 1 + (self._config.statistics == "mean-std")
        sums = np.zeros((powers, groups[-1] + 1, self.dimension // powers))
        for first in range(0, frames, _FRAMES_AT_ONCE):
            last = min(frames, first + _FRAMES_AT_ONCE)
            values = self._spectra(samples, first, last, frames).astype(np.float64)
            rows = groups[first:last]
            starts = np.flatnonzero(np.diff(rows, prepend=-1))
            for power in range(powers):
                sums[power, rows[starts]] += np.add.reduceat(values ** (power + 1), starts)
        moments = sums / np.bincount(groups)[:, None]
        if powers == 2:
            moments[1] = np.sqrt(np.maximum(moments[1] - moments[0] ** 2, 0.0))
        result: NDArray[np.float32] = np.concatenate(list(moments), axis=1).astype(np.float32)
        return result

    def _spectra(self, samples: NDArray[np.float32], first: int, last: int, frames: int) -> NDArray[np.float32]:
        """Return the values of the frames from ``first`` to ``last`` of a clip of so many, (last - first, values).

        The samples are mono in [-1, 1], possibly a memory map; what lacks for a frame is zero. The values are the same
        whichever frames are asked for together, but for rounding.
        """
        reach = _DELTA_REACH * self._config.deltas
        start, stop = max(0, first - reach), min(frames, last + reach)
        piece = np.zeros((stop - start - 1) * self._step + self._window, dtype=np.float32)
        found = samples[start * self._step : start * self._step + len(piece)]
        piece[: len(found)] = found
        orders = [self._levels(torch.from_numpy(piece))]
        for _ in range(self._config.deltas):
            orders.append(torchaudio.functional.compute_deltas(orders[-1].T, 2 * _DELTA_REACH + 1).T)
        computed: NDArray[np.float32] = torch.cat(orders, dim=1)[first - start : last - start].numpy()
        return computed

    def _levels(self, piece: Tensor) -> Tensor:
        spectra = torch.fft.rfft(piece.unfold(0, self._window, self._step) * self._taper, n=self._points)
        power = (spectra.real.square() + spectra.imag.square()) @ self._filters
        levels: Tensor = 10 * power.clamp(min=_FLOOR).log10()
        return levels if self._cosines is None else levels @ self._cosines
