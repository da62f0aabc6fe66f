"""The settings of computed sound features: contradictions are refused with the way out."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from eri.config import EGeMAPSConfig, LogMelConfig, MFCCConfig


@pytest.mark.parametrize(
    ("family", "settings", "message"),
    [
        (MFCCConfig, {"coefficients": 50, "mel_bands": 40}, "lower coefficients or raise mel_bands"),
        (MFCCConfig, {"hop": 0.005}, "raise hop, or leave it empty"),
        (LogMelConfig, {"hop": None, "statistics": "mean-std"}, "set hop, or take the mean"),
        (EGeMAPSConfig, {"level": "low-level", "window": 1.0}, "leave window out"),
        (EGeMAPSConfig, {"window": 0.05}, "greater than or equal to 0.06"),
    ],
)
def test_contradictions_are_refused(family, settings, message):
    with pytest.raises(ValidationError, match=message):
        family(**settings)
