"""torchcodec's pictures are PyAV's, or are not used: on processors, where its decoder is FFmpeg's own."""

from __future__ import annotations

import sys
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from eri.media.on_device import MOST_LEVELS
from eri.media.video import FrameSequence, read_frames, read_last_frames
from eri.utils.errors import MissingDependencyError, NoVideoError
from tests.factories.media import cut, need_torchcodec, write_clip, write_wav

EXACT = {
    "plain": {},
    "another container": {"suffix": "mkv"},
    "an edge of key frames": {"seconds": 4.0, "key_every": 12},
    "a changing frame rate": {"seconds": 4.0, "vfr": True},
    "a picture that stays": {"times": [0.0, 0.10, 0.15, 0.90], "audio": False},
    "one picture": {"times": [0.0]},
    "turned by 90": {"rotation": 90},
    "turned by 180": {"rotation": 180},
    "turned by 270": {"rotation": 270},
    "the full range of levels": {"pixel_format": "yuvj420p"},
    "a colon in its name": {"name": "concat:a"},
}
SCALED = {"large": {"size": (1920, 1080)}, "wide pixels": {"pixel_aspect": Fraction(4, 3)}}


@pytest.fixture(autouse=True)
def torchcodec():
    need_torchcodec()


def both(path, read=read_frames, count=9) -> tuple[FrameSequence, FrameSequence]:
    ours, theirs = read(path, count), read(path, count, device="cpu")
    np.testing.assert_array_equal(ours.times, theirs.times)
    assert ours.frames.shape == theirs.frames.shape
    return ours, theirs


@pytest.mark.parametrize("read", [read_frames, read_last_frames])
@pytest.mark.parametrize("settings", EXACT.values(), ids=EXACT)
def test_pictures_in_their_own_size_are_the_same_bit_for_bit(tmp_path, settings, read):
    name, suffix = settings.get("name", "a"), settings.get("suffix", "mp4")
    options = {key: value for key, value in settings.items() if key not in ("name", "suffix")}
    ours, theirs = both(write_clip(tmp_path / f"{name}.{suffix}", **options), read)
    np.testing.assert_array_equal(ours.frames, theirs.frames)
    assert theirs.notes == ours.notes


@pytest.mark.slow
@pytest.mark.parametrize("settings", SCALED.values(), ids=SCALED)
def test_pictures_that_are_scaled_are_nearly_the_same(tmp_path, settings):
    ours, theirs = both(write_clip(tmp_path / "a.mp4", audio=False, **settings))
    differences = np.abs(ours.frames.astype(int) - theirs.frames).mean(axis=(1, 2, 3))
    assert (differences > 0).any()  # they were scaled by another
    assert (differences < MOST_LEVELS / 2).all()
    assert theirs.notes == ()


def test_a_mirrored_clip_which_torchcodec_does_not_turn_back_is_left_to_pyav(tmp_path):
    ours, theirs = both(write_clip(tmp_path / "a.mp4", mirrored=True))
    np.testing.assert_array_equal(ours.frames, theirs.frames)
    [note] = theirs.notes
    assert note.startswith("not decoded on cpu but by PyAV: its first frame differs by")


def test_a_clip_that_was_cut_off_ends_where_it_does_without_a_device(tmp_path):
    whole = write_clip(tmp_path / "a.mp4", 4.0, audio=False, container_options={"movflags": "faststart"})
    ours, theirs = both(cut(whole, 0.6))
    np.testing.assert_array_equal(ours.frames, theirs.frames)
    assert set(ours.notes) <= set(theirs.notes)


def test_a_clip_with_packets_that_do_not_decode_is_left_to_pyav(tmp_path):
    path = write_clip(tmp_path / "a.mp4", 4.0, audio=False, key_every=12)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    for place, size in places[len(places) // 2 : len(places) // 2 + 4]:
        content[place : place + size] = bytes(size)
    path.write_bytes(content)
    ours, theirs = both(path, count=25)
    np.testing.assert_array_equal(ours.frames, theirs.frames)
    assert theirs.notes == ("not decoded on cpu but by PyAV: " + theirs.notes[0].partition(": ")[2], *ours.notes)
    assert ".cpp" not in theirs.notes[0]


def test_what_is_no_video_is_called_so(tmp_path):
    with pytest.raises(NoVideoError):
        read_frames(write_wav(tmp_path / "a.wav"), 4, device="cpu")


@pytest.mark.parametrize(
    ("module", "message"),
    [(None, "needs the package torchcodec"), (SimpleNamespace(ffmpeg_major_version=None, decoders=None), "finds none")],
)
def test_what_is_missing_is_named(tmp_path, monkeypatch, module, message):
    monkeypatch.setitem(sys.modules, "torchcodec", module)
    with pytest.raises(MissingDependencyError, match=message):
        read_frames(write_clip(tmp_path / "a.mp4"), 4, device="cpu")


@pytest.mark.gpu
def test_a_gpu_decodes_nearly_the_same_pictures(tmp_path):
    path = write_clip(tmp_path / "a.mp4", 4.0, size=(320, 240))
    ours, theirs = read_frames(path, 9), read_frames(path, 9, device="cuda")
    differences = np.abs(ours.frames.astype(int) - theirs.frames).mean(axis=(1, 2, 3))
    assert (differences < MOST_LEVELS).all()
    assert theirs.notes == ()
