"""DeepSpectrum: mel-spectrogram images of one-second windows through an image backbone."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from eri.config import DeepSpectrumConfig, Runtime
from eri.extraction.extractors.base import BaseExtractor, configured_backbone, embed_rows
from eri.extraction.extractors.preparing import WindowPreparer
from eri.features.records import Prepared
from eri.media.audio import SAMPLE_RATE
from eri.media.state import State
from eri.utils.errors import ConfigError

N_FFT = 512  # samples of the Hann window: the power of two above 25 ms at 16 kHz, the toolkit's default
HOP = N_FFT // 2  # samples from one spectrum to the next
CANVAS = 227  # side of the drawing in pixels before it is resized to the backbone's input: the toolkit's default

_FLOOR = 1e-10
_LINEAR_BELOW = 1000.0


class SpectrogramPainter:
    r"""Draws windows of audio as mel-spectrogram images.

    The steps are those of the DeepSpectrum toolkit (Amiriparian et al., "Snore sound classification using image-based
    deep spectrum features", Interspeech 2017; its ``mel`` mode with default settings): power spectra by a Hann
    window of 512 samples every 256 without padding at the ends, Slaney mel bands up to half the sampling rate,
    :math:`10 \log_{10}` relative to the image's maximum without a lower bound but :math:`10^{-10}`, colours from the
    image's minimum to its maximum by the 256 steps of viridis, low frequencies at the bottom, drawn on
    227 × 227 pixels without interpolation and resized bicubically.

    With 128 bands the lowest filters are narrower than the 31 Hz between spectral lines, and some stay empty; the
    toolkit draws them as dark stripes, and so does this class.

    The vertical axis is that of librosa's ``specshow``: linear in frequency up to 1 kHz on two fifths of the height,
    logarithmic above.

    Images, ``side`` pixels high and wide, are drawn on the CPU, whatever device embeds them, so that they do not depend
    on it.
    """

    def __init__(self, bands: int, side: int) -> None:
        self._side = side
        highest = SAMPLE_RATE / 2
        self._rows = _band_of_pixel_row(bands, highest)
        self._taper = torch.hann_window(N_FFT)
        with warnings.catch_warnings():
            # Empty filters are a known part of the recipe, see above.
            warnings.filterwarnings("ignore", message="At least one mel filterbank", category=UserWarning)
            filters = torchaudio.functional.melscale_fbanks(
                N_FFT // 2 + 1, 0.0, highest, bands, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
            )
        self._filters = filters.T.contiguous()
        # Rounded as matplotlib's canvas rounds them; its own byte table truncates.
        colours = np.rint(255 * matplotlib.colormaps["viridis"](np.arange(256))[:, :3])
        self._colours = colours.astype(np.uint8)

    def paint(self, windows: Tensor, real: Tensor) -> Tensor:
        """Draw windows of audio (mono in [-1, 1], float32 (n, samples >= N_FFT)) as RGB, uint8 (n, 3, side, side).

        ``real`` are the samples of each window that are not padding after the end of a clip, int64 (n,). The padding is
        drawn in the darkest colour, and does not stretch the scale of the rest.
        """
        levels = self._decibels(windows)
        inside = torch.arange(levels.shape[2]) * HOP + N_FFT <= real[:, None].clamp(min=N_FFT)
        sounding = levels if inside.all() else levels.masked_fill(~inside[:, None, :], math.inf)
        lowest = sounding.amin(dim=(1, 2), keepdim=True)
        span = -lowest
        share = torch.where(span > 0, (levels - lowest) / span.clamp(min=1e-12), 0.0)
        drawing = self._draw((share * 256).floor().clamp(0, 255).byte().numpy())
        if self._side == CANVAS:
            return drawing
        # On bytes, torch's bicubic filter rounds as Pillow's does, which the toolkit resizes with.
        return interpolate(drawing, size=(self._side, self._side), mode="bicubic", antialias=True)

    def _draw(self, steps: NDArray[np.uint8]) -> Tensor:
        """Spread steps of the colour map, (n, bands, spectra), over the canvas; (n, 3, CANVAS, CANVAS).

        Whole rows of finished pixels are copied last, because most rows of pixels show a band that another shows too.
        """
        columns = (np.arange(CANVAS) * 2 + 1) * steps.shape[2] // (2 * CANVAS)
        stripes = np.take(self._colours, np.take(steps, columns, axis=2), axis=0)
        return torch.from_numpy(np.take(stripes, self._rows, axis=1)).permute(0, 3, 1, 2)

    def _decibels(self, windows: Tensor) -> Tensor:
        spectra = torch.stft(windows, N_FFT, HOP, window=self._taper, center=False, return_complex=True)
        power = self._filters @ (spectra.real.square() + spectra.imag.square())
        levels: Tensor = 10 * power.clamp(min=_FLOOR).log10()
        return levels - levels.amax(dim=(1, 2), keepdim=True)


def _band_of_pixel_row(bands: int, highest: float) -> NDArray[np.int64]:
    """Return the mel band that each row of pixels shows, from the top, (CANVAS,)."""
    centres = _mel_frequencies(bands, highest)
    halves = np.diff(centres) / 2
    edges = np.concatenate([centres[:1] - halves[:1], centres[:-1] + halves, centres[-1:] + halves[-1:]])
    heights = _axis(edges)
    share = (np.arange(CANVAS)[::-1] + 0.5) / CANVAS
    pixels = heights[0] + share * (heights[-1] - heights[0])
    shown: NDArray[np.int64] = np.clip(np.searchsorted(heights, pixels, side="right") - 1, 0, bands - 1)
    return shown.astype(np.int64)


def _mel_frequencies(count: int, highest: float) -> NDArray[np.float64]:
    """Return frequencies in Hz, equally spaced on Slaney's mel scale from 0 to ``highest``, (count,).

    The scale (Auditory Toolbox, 1998) is linear with 15 mel to 1 kHz, then has 27 mel to a factor of 6.4.
    """
    step = math.log(6.4) / 27
    top = 15 + math.log(highest / 1000) / step if highest > 1000 else highest * 15 / 1000
    mels = np.linspace(0, top, count)
    frequencies: NDArray[np.float64] = np.where(mels < 15, mels * 1000 / 15, 1000 * np.exp(step * (mels - 15)))
    return frequencies


def _axis(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return heights on matplotlib's symmetric logarithmic axis, base 2, linear below 1 kHz."""
    octaves = np.log2(np.maximum(frequencies, _LINEAR_BELOW) / _LINEAR_BELOW)
    heights: NDArray[np.float64] = np.where(
        frequencies <= _LINEAR_BELOW, 2 * frequencies, _LINEAR_BELOW * (2 + octaves)
    )
    return heights


class DeepSpectrumExtractor(BaseExtractor):
    """An image backbone over mel-spectrogram images, one embedding per window.

    Windows of ``config.window`` seconds start every ``config.hop`` seconds; the last one is padded, and audio shorter
    than a window gives one row. A row's time is the middle of its window. Where the original toolkit cuts zeros off
    both ends of a file and stretches a last, shorter piece over the whole image, rows here keep to the clip's time
    axis. A window must not be shorter than one spectrum (32 ms).
    """

    name = family = "deepspectrum"
    libraries = ("av", "matplotlib", "timm", "torch", "torchaudio")

    def __init__(self, config: DeepSpectrumConfig, runtime: Runtime) -> None:
        self._config = config
        self._batch_size = runtime.batch_size
        window, hop = (max(1, round(seconds * SAMPLE_RATE)) for seconds in (config.window, config.hop))
        if window < N_FFT:
            raise ConfigError(
                f"a window of {config.window} s is shorter than one spectrum ({N_FFT / SAMPLE_RATE} s)",
                hint="Raise audio.window.",
            )
        self._backbone = configured_backbone(config, config.backbone, runtime, "audio.weights")
        self.dimension = self._backbone.dimension
        self._painter = SpectrogramPainter(config.mel_bands, self._backbone.side)
        self.preparer = WindowPreparer(window, hop, SAMPLE_RATE)

    def settings(self) -> dict[str, Any]:
        """Return what determines the numbers beside family, rules and libraries."""
        return {
            "backbone": self._backbone.identity(),
            "window": self.preparer.window,
            "hop": self.preparer.hop,
            "rate": SAMPLE_RATE,
            "picture": {"mel_bands": self._config.mel_bands, "n_fft": N_FFT, "hop": HOP, "canvas": CANVAS},
        }

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Embed clips together; each result is float32 (valid rows of that clip, dimension)."""
        rows = [np.flatnonzero(clip.states == State.VALID) for clip in prepared]

        def launch(batch: list[tuple[int, slice]]) -> Tensor:
            windows = [self.preparer.cut(prepared[clip].inputs, rows[clip][part]) for clip, part in batch]
            starts = [rows[clip][part] * self.preparer.hop for clip, part in batch]
            real = [len(prepared[clip].inputs) - first for (clip, _), first in zip(batch, starts, strict=True)]
            return self._backbone.embed(
                self._painter.paint(torch.from_numpy(np.concatenate(windows)), torch.from_numpy(np.concatenate(real)))
            )

        return embed_rows([len(valid) for valid in rows], self._batch_size, self.dimension, launch)
