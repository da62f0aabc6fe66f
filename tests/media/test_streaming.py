"""Streaming pictures gives what reading them at once gives, a block at a time."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from eri.media.streaming import FrameStream
from eri.media.video import read_frames
from eri.utils.errors import MediaError, NoVideoError
from tests.factories.media import clock, cut, read_clock, write_clip, write_wav


@pytest.mark.parametrize("options", [{}, {"rotation": 90}, {"vfr": True}, {"audio_start": -0.4}], ids=str)
def test_blocks_are_what_is_on_screen(tmp_path, options):
    path = write_clip(tmp_path / "clip.mp4", 2.0, fps=25, **options)
    whole = read_frames(path, 23)
    blocks = list(FrameStream(path).blocks(whole.times, 5))
    assert [len(block.times) for block in blocks] == [5, 5, 5, 5, 3]
    np.testing.assert_array_equal(np.concatenate([block.times for block in blocks]), whole.times)
    np.testing.assert_array_equal(np.concatenate([block.frames for block in blocks]), whole.frames)


def test_moments_before_and_after_the_pictures_show_the_nearest(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 1.0, fps=10, audio=False)
    stream = FrameStream(path)
    assert stream.end == pytest.approx(1.0)
    (block,) = stream.blocks(np.array([-1.0, 0.5, 7.0]))
    assert [read_clock(picture) for picture in block.frames] == [0.0, 0.5, 0.9]


def test_a_damaged_tail_ends_the_stream_and_is_noted(tmp_path):
    path = cut(write_clip(tmp_path / "clip.ts", 4.0, fps=25, video_codec="mpeg2video", audio=False), 0.5)
    stream = FrameStream(path)
    blocks = list(stream.blocks(np.arange(0.0, 4.0, 0.1), 8))
    assert blocks
    assert all(len(block.times) == len(block.frames) for block in blocks)


def test_a_folder_of_pictures(tmp_path):
    for second in range(5):
        Image.fromarray(clock()(float(second))).save(tmp_path / f"{second}.png")
    (tmp_path / "3.png").write_bytes(b"torn")
    stream = FrameStream(tmp_path)
    blocks = list(stream.blocks(np.arange(0.5, 5.0), 2))
    shown = [read_clock(picture) for block in blocks for picture in block.frames]
    assert shown == [0.0, 1.0, 2.0, 4.0]
    assert stream.notes == ["image 3.png cannot be read and was left out"]


def test_what_has_no_pictures_is_refused(tmp_path):
    with pytest.raises(NoVideoError):
        FrameStream(write_wav(tmp_path / "sound.wav"))
    with pytest.raises(MediaError):
        FrameStream(tmp_path / "absent.mp4")
    for second in range(2):
        (tmp_path / f"{second}.png").write_bytes(b"torn")
    with pytest.raises(MediaError, match="none of its images"):
        list(FrameStream(tmp_path).blocks(np.zeros(1)))
