"""DeepSpectrum: mel-spectrogram pictures of one-second windows through an image backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from eri.config import DeepSpectrumConfig, Runtime
from eri.errors import ConfigError
from eri.extractors.backbone import create_backbone
from eri.extractors.base import Prepared, State
from eri.extractors.preparing import WindowPreparer
from eri.extractors.running import batches, library_versions, resolve_device, store_rows
from eri.extractors.spectrogram import CANVAS, HOP, N_FFT, SpectrogramPainter
from eri.media.audio import SAMPLE_RATE

_RULES = 1
"""Version of the rules in this family: raised when its numbers change for the same settings."""


class DeepSpectrumExtractor:
    """An image backbone over mel-spectrogram pictures, one embedding a window.

    Windows of ``config.window`` seconds start every ``config.hop`` seconds; the last one is padded, and sound shorter
    than a window gives one row. A row's time is the middle of its window. The pictures are described at
    :class:`~eri.extractors.spectrogram.SpectrogramPainter`. Where the original toolkit cuts zeros off both ends of
    a file and stretches a last, shorter piece over the whole picture, rows here keep to the clip's time axis.

    Args:
        config: Backbone, weights, windows and picture.
        runtime: Device and batch size.

    Raises:
        ConfigError: No model has that name, or a window is shorter than one spectrum (32 ms).
        WeightsError: Weights are nowhere to be found, damaged, or of another model.
    """

    def __init__(self, config: DeepSpectrumConfig, runtime: Runtime) -> None:
        self.name = "deepspectrum"
        self.modality: Literal["visual", "audio"] = "audio"
        self._config = config
        self._batch_size = runtime.batch_size
        self._window, self._hop = (max(1, round(seconds * SAMPLE_RATE)) for seconds in (config.window, config.hop))
        if self._window < N_FFT:
            raise ConfigError(
                f"a window of {config.window} s is shorter than one spectrum ({N_FFT / SAMPLE_RATE} s)",
                hint="Raise audio.window.",
            )
        self._backbone = create_backbone(
            config.backbone,
            weights=config.weights,
            seed=config.seed,
            input_size=config.input_size,
            precision=config.precision,
            device=resolve_device(runtime.device),
            option="audio.weights",
        )
        self.dimension = self._backbone.dimension
        self._painter = SpectrogramPainter(config.mel_bands, rate=SAMPLE_RATE, side=self._backbone.side)

    @property
    def preparer(self) -> WindowPreparer:
        """The part that decodes sound."""
        return WindowPreparer(self._window, self._hop, SAMPLE_RATE)

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers, as JSON values."""
        return {
            "family": "deepspectrum",
            "rules": _RULES,
            "backbone": self._backbone.identity(),
            "window": self._window,
            "hop": self._hop,
            "rate": SAMPLE_RATE,
            "picture": {"mel_bands": self._config.mel_bands, "n_fft": N_FFT, "hop": HOP, "canvas": CANVAS},
            "versions": library_versions("av", "matplotlib", "timm", "torch", "torchaudio"),
        }

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[np.float32]]:
        """Embed clips together; each result is float32 (valid rows of that clip, dimension)."""
        rows = [np.flatnonzero(clip.states == State.VALID) for clip in prepared]
        results = [np.empty((len(valid), self.dimension), dtype=np.float32) for valid in rows]
        for batch in batches([len(valid) for valid in rows], self._batch_size):
            windows = [(prepared[clip].inputs, row) for clip, part in batch for row in rows[clip][part]]
            store_rows(results, batch, self._backbone.embed(self._pictures(windows)).numpy())
        return results

    def pictures(self, prepared: Prepared) -> NDArray[np.uint8]:
        """Return the pictures of a clip's valid rows, RGB uint8 (valid rows, side, side, 3), for looking at."""
        windows = [(prepared.inputs, int(row)) for row in np.flatnonzero(prepared.states == State.VALID)]
        return self._pictures(windows).permute(0, 2, 3, 1).numpy()

    def _pictures(self, windows: Sequence[tuple[NDArray[np.float32], int]]) -> torch.Tensor:
        cut = np.zeros((len(windows), self._window), dtype=np.float32)
        real = np.empty(len(windows), dtype=np.int64)
        for index, (samples, row) in enumerate(windows):
            piece = samples[row * self._hop : row * self._hop + self._window]
            cut[index, : len(piece)] = piece
            real[index] = len(piece)
        return self._painter.paint(torch.from_numpy(cut), torch.from_numpy(real))
