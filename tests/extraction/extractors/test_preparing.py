"""Preparers lay an unbroken grid of rows over a clip, whatever it lacks."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from eri.config import FaceConfig
from eri.data.clips import Clip
from eri.extraction.extractors.preparing import (
    SILENT_BELOW,
    FramePreparer,
    ImagePreparer,
    WindowPreparer,
    silent_windows,
)
from eri.media.state import State
from eri.utils.errors import MissingMediaError, NoVideoError
from tests.factories.media import tone, write_clip, write_wav

RATE = 16_000
WINDOWS = WindowPreparer(RATE, RATE // 2, RATE)
FRAMES = FramePreparer(400, 320, None, RATE)
WHOLE = FaceConfig(detector="none")


def clip(video: Path | None = None, audio: Path | None = None) -> Clip:
    return Clip("00001", "train", video=video, audio=audio)


@pytest.mark.parametrize(
    ("seconds", "rows"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.01, 2), (1.5, 2), (1.51, 3), (3.0, 5), (10.0, 19)]
)
def test_windows_cover_the_sound(tmp_path, seconds, rows):
    times = WINDOWS.times(round(seconds * RATE))
    assert times == pytest.approx(0.5 + 0.5 * np.arange(rows))


@given(st.integers(0, 10_000), st.integers(1, 700), st.integers(1, 900))
def test_every_sample_is_in_a_window_unless_windows_leave_gaps(samples, window, hop):
    preparer = WindowPreparer(window, hop, RATE)
    count = preparer.count(samples)
    assert count >= 1
    assert (count - 1) * hop + window >= samples
    assert count == 1 or (count - 2) * hop + window < samples
    assert (np.diff(preparer.times(samples)) > 0).all()


@given(
    arrays.arrays(np.float32, st.integers(0, 300), elements=st.sampled_from([0.0, 1e-6, -1e-6, 0.5, -0.5, 2.0**-16])),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 600),
)
def test_silence_is_found_window_by_window(samples, window, hop, count):
    found = silent_windows(samples, window, hop, count)
    for row in range(count):
        piece = samples[row * hop : row * hop + window]
        assert found[row] == (not len(piece) or bool(np.abs(piece).max() < SILENT_BELOW))


@given(st.integers(0, 20_000))
def test_frames_are_those_of_the_convolutions(samples):
    length = max(samples, 400)
    for kernel, stride in zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True):
        length = (length - kernel) // stride + 1
    assert FRAMES.frames(samples) == length
    assert len(FRAMES.times(samples)) == length


def test_a_frame_stands_at_the_middle_of_what_it_sees():
    assert FRAMES.times(16_000)[:3] == pytest.approx([0.0125, 0.0325, 0.0525])


@given(st.integers(0, 60_000), st.integers(320, 20_000))
def test_hops_average_every_frame_once(samples, hop):
    preparer = FramePreparer(400, 320, hop, RATE)
    groups = preparer.groups(preparer.frames(samples))
    assert groups[0] == 0
    assert set(np.diff(groups)) <= {0, 1}
    times = preparer.times(samples)
    assert len(times) == groups[-1] + 1
    assert (np.diff(times) > 0).all()


def test_a_hop_stands_at_the_mean_of_its_frames():
    times = FramePreparer(400, 320, RATE // 2, RATE).times(2 * RATE)
    assert times == pytest.approx([0.2525, 0.7525, 1.2525, 1.7425])


def test_sound_becomes_the_waveform_and_its_rows(tmp_path):
    prepared = WINDOWS.prepare(clip(audio=write_wav(tmp_path / "a.wav", 2.0)))
    assert prepared.clip_id == "00001"
    assert prepared.inputs.dtype == np.float32
    assert prepared.inputs.shape == (2 * RATE,)
    assert prepared.times == pytest.approx([0.5, 1.0, 1.5])
    assert prepared.states.dtype == np.uint8
    assert (prepared.states == State.VALID).all()


def test_the_audio_file_goes_before_the_video_track(tmp_path):
    video = write_clip(tmp_path / "a.mp4", 3.0)
    audio = write_wav(tmp_path / "a.wav", 2.0)
    assert len(WINDOWS.prepare(clip(video, audio)).times) == 3
    assert len(WINDOWS.prepare(clip(video)).times) >= 5


@pytest.mark.parametrize(("preparer", "rows"), [(WINDOWS, 5), (FRAMES, 149)])
def test_a_video_without_sound_gets_rows_over_its_duration(tmp_path, preparer, rows):
    prepared = preparer.prepare(clip(write_clip(tmp_path / "a.mp4", 3.0, audio=False)))
    assert len(prepared.times) == rows
    assert (prepared.states == State.NO_AUDIO).all()
    assert prepared.inputs.shape == (0,)
    assert prepared.notes == ("no audio",)


def test_nothing_to_hear_and_nothing_to_measure_gives_one_row(tmp_path):
    (tmp_path / "faces").mkdir()
    for given_clip in (clip(), clip(tmp_path / "faces")):
        prepared = WINDOWS.prepare(given_clip)
        assert prepared.states.tolist() == [State.NO_AUDIO]


@pytest.mark.parametrize("preparer", [WINDOWS, FRAMES, FramePreparer(400, 320, RATE // 2, RATE)])
def test_digital_silence_is_told_from_quiet(tmp_path, preparer):
    samples = np.concatenate([tone(2.0), np.zeros(3 * RATE, dtype=np.float32), tone(1.0, amplitude=0.001)])
    prepared = preparer.prepare(clip(audio=write_wav(tmp_path / "a.wav", samples=samples)))
    inside = (prepared.times > 2.6) & (prepared.times < 4.4)
    assert (prepared.states[inside] == State.SILENCE).all()
    assert (prepared.states[(prepared.times < 1.5) | (prepared.times > 5.5)] == State.VALID).all()
    assert set(prepared.states) == {State.VALID, State.SILENCE}


def test_times_follow_a_track_that_begins_late(tmp_path):
    prepared = WINDOWS.prepare(clip(write_clip(tmp_path / "a.mkv", 3.0, audio_start=0.5)))
    assert prepared.times[0] == pytest.approx(1.0, abs=0.05)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(MissingMediaError):
        WINDOWS.prepare(clip(audio=tmp_path / "gone.wav"))
    with pytest.raises(MissingMediaError):
        ImagePreparer(4, 32, WHOLE).prepare(clip(tmp_path / "gone.mp4"))


def test_frames_become_crops(tmp_path):
    prepared = ImagePreparer(6, 48, WHOLE).prepare(clip(write_clip(tmp_path / "a.mp4", 3.0)))
    assert prepared.inputs.shape == (6, 48, 48, 3)
    assert prepared.inputs.dtype == np.uint8
    assert prepared.times == pytest.approx(0.25 + 0.5 * np.arange(6), abs=0.01)
    assert (prepared.states == State.VALID).all()


def test_only_valid_rows_are_inputs(tmp_path):
    def paint(time: float):
        return np.full((120, 160, 3), 0 if time < 1.5 else 128, dtype=np.uint8)

    prepared = ImagePreparer(6, 48, WHOLE).prepare(clip(write_clip(tmp_path / "a.mp4", 3.0, frames=paint)))
    assert prepared.states.tolist() == [State.BLACK_FRAME] * 3 + [State.VALID] * 3
    assert len(prepared.inputs) == 3


def test_a_clip_without_video_fails_by_name():
    with pytest.raises(NoVideoError, match="00001: the clip table names no video"):
        ImagePreparer(4, 32, WHOLE).prepare(clip())


@pytest.mark.parametrize("preparer", [WINDOWS, FRAMES, ImagePreparer(4, 32, WHOLE)])
def test_preparers_travel_to_workers(preparer):
    sent = pickle.dumps(preparer)
    assert len(sent) < 2000
    assert pickle.loads(sent) == preparer


@pytest.mark.slow
def test_preparing_imports_no_torch(tmp_path):
    video = write_clip(tmp_path / "a.mp4", 1.0)
    code = f"""
import sys
from pathlib import Path
from eri.config import FaceConfig
from eri.data.clips import Clip
from eri.extraction.extractors.preparing import ImagePreparer, WindowPreparer
clip = Clip("1", "train", video=Path({str(video)!r}))
assert len(ImagePreparer(2, 32, FaceConfig()).prepare(clip).times) == 2
assert len(WindowPreparer(16000, 8000, 16000).prepare(clip).times) >= 1
heavy = {{"torch", "timm", "transformers"}} & set(sys.modules)
sys.exit(f"imported {{heavy}}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
