"""Sound comes at 16 kHz, mono, with every sample at its moment."""

from __future__ import annotations

import numpy as np
import pytest

from eri.media.audio import read_sound
from tests.factories.media import tone, write_wav


@pytest.mark.parametrize("channels", [1, 2])
def test_wav_at_16_khz_is_read_sample_for_sample(tmp_path, channels):
    sound = read_sound(write_wav(tmp_path / "a.wav", channels=channels))
    assert sound.start == 0.0
    assert np.abs(sound.samples - tone(1.0)).max() < 1e-4
