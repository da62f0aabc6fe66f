"""Frames come from the moments asked for, upright and in the right colours."""

from __future__ import annotations

import numpy as np
import pytest

from eri.media.video import read_frames
from tests.factories.media import read_clock, write_clip


def test_frames_are_those_on_screen_at_even_times(tmp_path):
    sequence = read_frames(write_clip(tmp_path / "a.mp4"), 5)
    assert sequence.times == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    assert sequence.frames.shape == (5, 120, 160, 3)
    assert [read_clock(frame) for frame in sequence.frames] == [0.08, 0.28, 0.48, 0.68, 0.88]
    assert sequence.frames.dtype == np.uint8
