"""The sections of sound features that are computed rather than learnt: MFCCs, log-mel spectra, eGeMAPS."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from eri.config.strict import Strict


class _MelConfig(Strict):
    """Mel spectra of short windows of sound, gathered into rows."""

    window: float = Field(0.025, gt=0, le=1.0, description="Seconds of sound in one spectrum.")
    step: float = Field(0.010, ge=0.001, le=1.0, description="Seconds from one spectrum to the next.")
    mel_scale: Literal["slaney", "htk"] = Field(
        "slaney",
        description="slaney: Slaney's scale and filters of equal area, librosa's default; "
        "htk: HTK's scale and filters of equal height.",
    )
    deltas: int = Field(0, ge=0, le=2, description="Orders of change over time beside the values (HTK, two to a side).")
    hop: float | None = Field(0.1, gt=0, description="Gather spectra over this many seconds into a row; None: each.")
    statistics: Literal["mean", "mean-std"] = Field("mean", description="Of the spectra in a row; std is their spread.")

    @model_validator(mode="after")
    def _rows_hold_spectra(self) -> Self:
        if self.hop is not None and self.hop < self.step:
            raise ValueError(
                f"a row of {self.hop} s is shorter than the step of {self.step} s from one spectrum to the next; "
                "raise hop, or leave it empty to keep every spectrum"
            )
        if self.hop is None and self.statistics == "mean-std":
            raise ValueError("statistics mean-std needs rows of several spectra; set hop, or take the mean")
        return self

    @property
    def modality(self) -> Literal["audio"]:
        """The modality that the features describe."""
        return "audio"


class MFCCConfig(_MelConfig):
    """Mel-frequency cepstral coefficients, averaged over rows."""

    extractor: Literal["mfcc"] = "mfcc"
    coefficients: int = Field(40, ge=1, description="Coefficients kept, from the zeroth (loudness) on.")
    mel_bands: int = Field(80, ge=2)

    @model_validator(mode="after")
    def _bands_suffice(self) -> Self:
        if self.coefficients > self.mel_bands:
            raise ValueError(
                f"{self.coefficients} coefficients cannot be made of {self.mel_bands} mel_bands; "
                "lower coefficients or raise mel_bands"
            )
        return self


class LogMelConfig(_MelConfig):
    """Log-mel spectra in decibels, averaged over rows."""

    extractor: Literal["logmel"] = "logmel"
    mel_bands: int = Field(64, ge=2)


class EGeMAPSConfig(Strict):
    """The extended Geneva minimalistic acoustic parameter set, by openSMILE (extra `opensmile`, non-commercial)."""

    extractor: Literal["egemaps"] = "egemaps"
    level: Literal["functionals", "low-level"] = Field(
        "functionals",
        description="functionals: 88 of each window; low-level: 25 descriptors every 10 ms, averaged over each hop.",
    )
    window: float | None = Field(None, ge=0.06, description="Seconds under one row of functionals; None is 1.0.")
    hop: float = Field(0.5, ge=0.02, description="Seconds from one row to the next.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.level == "low-level" and self.window is not None:
            raise ValueError("window belongs to level functionals; low-level rows span one hop: leave window out")
        return self

    @property
    def modality(self) -> Literal["audio"]:
        """The modality that the features describe."""
        return "audio"
