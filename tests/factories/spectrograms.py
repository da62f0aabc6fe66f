"""Spectrogram pictures as the DeepSpectrum toolkit draws them, with librosa and matplotlib."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eri.extraction.extractors.deepspectrum import CANVAS

RATE = 16_000


def draw(window: NDArray[np.float32], bands: int = 128) -> Image.Image:
    """Draw sound the original way: librosa's spectrogram, matplotlib's figure without axes, a PNG in memory.

    Args:
        window: Mono at 16 kHz, float32 (samples,).
        bands: Mel bands.
    """
    import librosa
    import librosa.display
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1), dpi=CANVAS, frameon=False)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some mel filters are narrower than the spectral lines
        spectra = librosa.stft(window, n_fft=512, hop_length=256, center=False)
        power = librosa.feature.melspectrogram(S=np.abs(spectra) ** 2, sr=RATE, n_mels=bands)
        levels = librosa.power_to_db(power, ref=np.max, top_db=None)
        librosa.display.specshow(
            levels, sr=RATE, hop_length=256, fmax=RATE / 2, x_axis="time", y_axis="mel", cmap="viridis", ax=axes
        )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=CANVAS)
    return Image.open(buffer).convert("RGB")
