"""Frames come from the moments asked for, upright and in the right colours."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from eri.media import decoding
from eri.media.timeline import even_times
from eri.media.video import FrameSequence, FrameStream, read_frames, read_last_frames
from eri.utils.errors import MediaError, NoVideoError, TruncatedMediaError
from tests.factories.media import clock, cut, read_clock, write_clip, write_song_with_cover, write_wav

RED, BLUE, GREEN = (200, 30, 30), (30, 30, 200), (30, 200, 30)
FORMATS = {
    "mp4": ("libx264", "aac", 16_000),
    "mov": ("libx264", "aac", 16_000),
    "mkv": ("libx264", "aac", 16_000),
    "webm": ("libvpx-vp9", "libopus", 48_000),
    "ts": ("libx264", "aac", 16_000),
    "flv": ("libx264", "aac", 44_100),
    "avi": ("mpeg4", "libmp3lame", 16_000),
}


def clocks(sequence: FrameSequence) -> list[float]:
    return [read_clock(frame) for frame in sequence.frames]


def test_frames_are_those_on_screen_at_even_times(tmp_path):
    sequence = read_frames(write_clip(tmp_path / "a.mp4"), 5)
    assert sequence.times == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    assert sequence.frames.shape == (5, 120, 160, 3)
    assert sequence.frames.dtype == np.uint8
    assert clocks(sequence) == [0.08, 0.28, 0.48, 0.68, 0.88]
    assert sequence.notes == ()


@pytest.mark.parametrize("seconds", [0.2, 1.0, 8.0])
def test_the_last_frames_are_the_last_ones_once_each(tmp_path, seconds):
    path = write_clip(tmp_path / "a.mp4", seconds, key_every=12)
    expected = [round(seconds - 0.04 * back, 2) for back in range(min(7, round(seconds * 25)), 0, -1)]
    sequence = read_last_frames(path, 7)
    assert sequence.times == pytest.approx(expected)
    assert clocks(sequence) == pytest.approx(expected)
    assert sequence.notes == ()
    with pytest.raises(ValueError, match="count must be at least 1"):
        read_last_frames(path, 0)


def test_the_last_frames_of_a_damaged_clip_are_those_before_the_damage(tmp_path):
    path = write_clip(tmp_path / "a.mp4", 4.0, audio=False, container_options={"movflags": "faststart"})
    sequence = read_last_frames(cut(path, 0.6), 5)
    assert len(sequence.times) == 5
    assert clocks(sequence) == pytest.approx(sequence.times, abs=0.005)
    assert 1.0 < sequence.times[-1] < 3.5
    assert any("do not decode" in note for note in sequence.notes)


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_container_gives_the_same_frames(tmp_path, suffix):
    codec, audio_codec, rate = FORMATS[suffix]
    options = {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx-vp9" else None
    path = write_clip(
        tmp_path / f"a.{suffix}",
        audio=suffix not in ("avi", "ts", "flv"),  # their sound begins before the pictures
        video_codec=codec,
        audio_codec=audio_codec,
        audio_rate=rate,
        video_options=options,
    )
    sequence = read_frames(path, 5)
    assert sequence.times == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9], abs=1e-3)
    assert clocks(sequence) == [0.08, 0.28, 0.48, 0.68, 0.88]


def test_a_changing_frame_rate_is_sampled_by_time_not_by_number(tmp_path):
    path = write_clip(tmp_path / "a.mp4", seconds=4.0, vfr=True)
    sequence = read_frames(path, 8)
    assert sequence.times == pytest.approx(even_times(0.0, 4.0, 8), abs=0.05)
    behind = sequence.times - clocks(sequence)
    assert (behind >= -1e-6).all()
    assert (behind < 0.081).all()


def test_a_picture_that_stays_is_repeated_while_it_is_on_screen(tmp_path):
    onsets = [0.0, 0.10, 0.15, 0.90]
    sequence = read_frames(write_clip(tmp_path / "a.mp4", times=onsets, audio=False), 6)
    assert clocks(sequence) == [max(onset for onset in onsets if onset <= time) for time in sequence.times]
    assert clocks(sequence)[2:5] == [0.15, 0.15, 0.15]


def test_one_picture_fills_every_row(tmp_path):
    sequence = read_frames(write_clip(tmp_path / "a.mp4", times=[0.0]), 32)
    assert len(sequence.frames) == 32
    assert (np.diff(sequence.times) > 0).all()
    assert (sequence.frames == sequence.frames[0]).all()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(2, 60), min_size=1, max_size=12),
    st.integers(1, 12),
    st.sampled_from(["mp4", "mkv"]),
    st.integers(1, 6),
)
def test_any_rhythm_of_pictures_is_followed(tmp_path, gaps, count, suffix, key_every):
    onsets = [0.0, *itertools.accumulate(gap / 100 for gap in gaps)]
    path = write_clip(tmp_path / f"a.{suffix}", times=onsets, audio=False, key_every=key_every)
    sequence = read_frames(path, count)
    for time, shown in zip(sequence.times, clocks(sequence), strict=True):
        # Containers round times to a millisecond: at a change, either picture is right.
        right = {max(onset for onset in onsets if onset <= max(time + slack, 0.0)) for slack in (-1.1e-3, 1.1e-3)}
        assert any(shown == pytest.approx(onset, abs=0.006) for onset in right)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_and_mirroring_are_undone(tmp_path, rotation, mirrored):
    path = write_clip(tmp_path / "a.mp4", rotation=rotation, mirrored=mirrored, audio=False)
    frame = read_frames(path, 1).frames[0]
    stored = frame[:, ::-1] if mirrored else frame
    stored = np.rot90(stored, rotation // 90)
    assert stored.shape == (120, 160, 3)
    assert stored[60, 40] == pytest.approx(RED, abs=12)
    assert stored[60, 120] == pytest.approx(BLUE, abs=12)
    assert stored[110, 10] == pytest.approx(GREEN, abs=12)
    assert read_clock(stored) == 0.48


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuvj420p", "yuv444p", "yuv420p10le"])
def test_colours_survive_any_pixel_format(tmp_path, pixel_format):
    path = write_clip(tmp_path / "a.mp4", pixel_format=pixel_format, audio=False)
    frame = read_frames(path, 1).frames[0]
    assert frame[60, 40] == pytest.approx(RED, abs=12)
    assert frame[60, 120] == pytest.approx(BLUE, abs=12)


def test_large_pictures_are_scaled_down_and_keep_their_shape(tmp_path):
    path = write_clip(tmp_path / "a.mp4", size=(640, 360), audio=False, seconds=0.2)
    small = read_frames(path, 2, max_side=320).frames
    assert small.shape == (2, 180, 320, 3)
    assert read_frames(path, 2, max_side=None).frames.shape == (2, 360, 640, 3)
    assert small[0, 100, 80] == pytest.approx(RED, abs=12)


def test_pixels_that_are_not_square_are_made_so(tmp_path):
    path = write_clip(tmp_path / "a.mp4", size=(120, 120), pixel_aspect=Fraction(4, 3), audio=False, seconds=0.2)
    assert read_frames(path, 1).frames.shape == (1, 120, 160, 3)


def test_a_picture_size_that_changes_on_the_way_is_fitted_into_the_first(tmp_path):
    wide = write_clip(tmp_path / "wide.ts", audio=False, times=[n / 25 for n in range(25)])
    tall = write_clip(tmp_path / "tall.ts", size=(120, 160), audio=False, times=[1 + n / 25 for n in range(25)])
    both = tmp_path / "both.ts"
    both.write_bytes(wide.read_bytes() + tall.read_bytes())
    frames = read_frames(both, 4).frames
    assert frames.shape == (4, 120, 160, 3)
    assert frames[3, 60, :30].max() < 10  # black at the sides
    assert frames[3, 60, 80].max() > 150


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("key_every", [10, 25, 40, 250])
def test_jumping_to_key_frames_gives_what_decoding_straight_gives(tmp_path, monkeypatch, suffix, key_every):
    path = write_clip(
        tmp_path / f"a.{suffix}",
        seconds=10.0,
        key_every=key_every,
        size=(96, 64),
        video_options={"preset": "medium", "x264-params": "open-gop=1:bframes=3"},
    )
    jumps: list[int] = []
    planned = decoding.plan

    def watch(*args, **kwargs):
        segments = planned(*args, **kwargs)
        jumps.append(sum(segment.key is not None for segment in segments))
        return segments

    monkeypatch.setattr("eri.media.video.plan", watch)
    quick = read_frames(path, 3)
    assert len(jumps) == 1, "the jumps proved wrong"
    assert (jumps[0] > 0) == (key_every <= 40)

    monkeypatch.setattr("eri.media.video.plan", lambda timeline, wanted, seek: planned(timeline, wanted, seek=False))
    straight = read_frames(path, 3)
    np.testing.assert_array_equal(quick.frames, straight.frames)
    np.testing.assert_array_equal(quick.times, straight.times)


def test_a_jump_that_leads_astray_is_noticed(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", seconds=8.0, key_every=10, audio=False)
    planned = decoding.plan

    def astray(timeline, wanted, seek):
        segments = planned(timeline, wanted, seek=seek)
        return [
            decoding.Segment(segment.key and segment.key + 0.04, segment.rows)  # no key frame is there
            for segment in segments
        ]

    monkeypatch.setattr("eri.media.video.plan", astray)
    sequence = read_frames(path, 4)
    assert clocks(sequence) == [1.0, 3.0, 5.0, 7.0]


def test_a_damaged_tail_is_left_out_and_told(tmp_path):
    path = write_clip(
        tmp_path / "a.mp4", seconds=4.0, audio=False, key_every=25, container_options={"movflags": "faststart"}
    )
    sequence = read_frames(cut(path, 0.6), 8)
    assert any("ends early" in note for note in sequence.notes)
    assert (np.diff(sequence.times) > 0).all()
    assert sequence.times[-1] < 3.0
    for time, shown in zip(sequence.times, clocks(sequence), strict=True):
        assert 0 <= time - shown < 0.041


def test_damage_in_the_middle_costs_only_what_is_damaged(tmp_path):
    path = write_clip(tmp_path / "a.ts", seconds=4.0, audio=False, key_every=10)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(bytes(data))
    sequence = read_frames(path, 16)
    shown = clocks(sequence)
    assert abs(shown[0] - sequence.times[0]) < 0.05
    assert abs(shown[-1] - sequence.times[-1]) < 0.05
    assert (np.diff(shown) >= 0).all()


def test_frames_without_times_are_placed_by_their_order(tmp_path):
    raw = write_clip(tmp_path / "a.h264", audio=False, seconds=2.0)
    sequence = read_frames(raw, 4)
    assert sequence.times == pytest.approx([0.25, 0.75, 1.25, 1.75], abs=0.05)
    assert clocks(sequence) == pytest.approx([0.24, 0.72, 1.24, 1.72], abs=0.05)


def test_a_sound_file_has_no_video_even_with_a_cover(tmp_path):
    for path in (
        write_wav(tmp_path / "a.wav"),
        write_clip(tmp_path / "a.mp4", video=False),
        write_song_with_cover(tmp_path / "a.mp3"),
        write_song_with_cover(tmp_path / "a.flac"),
        write_clip(tmp_path / "no_pictures.mkv", times=[]),
    ):
        with pytest.raises(NoVideoError) as caught:
            read_frames(path, 4)
        assert caught.value.reason == "no-video"


def test_pictures_of_which_none_decodes_are_refused(tmp_path):
    path = write_clip(tmp_path / "a.avi", video_codec="mpeg4", audio=False, size=(320, 240))
    data = bytearray(path.read_bytes())
    start = data.index(b"movi") + 4
    for at in range(start, len(data) - 8):
        if data[at : at + 4] == b"00dc":
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            data[at + 8 : at + 8 + size] = bytes(size)
    path.write_bytes(bytes(data))
    with pytest.raises(TruncatedMediaError) as caught:
        read_frames(path, 4)
    assert caught.value.reason == "truncated"
    assert str(path) in str(caught.value)


def test_a_count_under_one_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="count"):
        read_frames(write_clip(tmp_path / "a.mp4", seconds=0.2), 0)


def test_reading_says_nothing_on_the_screen(tmp_path, capfd):
    path = cut(write_clip(tmp_path / "a.ts", seconds=2.0), 0.7)
    read_frames(path, 4)
    cut(path, 0.001)
    with pytest.raises(MediaError):
        read_frames(path, 4)
    assert capfd.readouterr() == ("", "")


class Counting(decoding.Decoder):
    """A decoder that counts its pictures, and that can be told to leave none out."""

    decoded = 0
    thorough = False

    def __init__(self, container, path, timeline, wanted=None):
        super().__init__(container, path, timeline, None if Counting.thorough else wanted)

    def frames(self, key=None):
        for pair in super().frames(key):
            Counting.decoded += 1
            yield pair


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"bf": "3", "preset": "veryfast"}),
        ("a.mkv", "libx264", {"bf": "2", "b-pyramid": "strict", "preset": "veryfast"}),
        ("a.ts", "libx264", {"bf": "3", "preset": "veryfast"}),
        ("a.mp4", "libx265", {"x265-params": "log-level=none:bframes=4", "preset": "superfast"}),
        ("a.mp4", "mpeg4", {"bf": "2"}),
        ("a.avi", "mpeg4", {}),
        ("a.webm", "libvpx-vp9", {"deadline": "realtime"}),
    ],
)
@pytest.mark.parametrize("key_every", [None, 40])
def test_pictures_that_nothing_needs_are_left_out(tmp_path, monkeypatch, name, codec, options, key_every):
    path = write_clip(tmp_path / name, 4.0, video_codec=codec, video_options=options, key_every=key_every, audio=False)
    monkeypatch.setattr("eri.media.video.Decoder", Counting)
    results = []
    for thorough in (False, True):
        monkeypatch.setattr(Counting, "thorough", thorough)
        monkeypatch.setattr(Counting, "decoded", 0)
        results.append((read_frames(path, 7), Counting.decoded))
    (quick, few), (slow, many) = results
    assert np.array_equal(quick.frames, slow.frames)
    assert np.array_equal(quick.times, slow.times)
    assert quick.notes == slow.notes
    assert few <= many
    if "bf" in options:
        assert few < 0.8 * many


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_damaged_clip_gives_what_decoding_every_picture_gives(tmp_path, monkeypatch, place):
    options = {"bf": "3", "preset": "veryfast"}
    first = {"movflags": "faststart"}
    size = (320, 240)
    path = write_clip(tmp_path / "a.mp4", 4.0, size=size, video_options=options, audio=False, container_options=first)
    data = bytearray(path.read_bytes())
    start = int(place * len(data))
    data[start : start + 300] = bytes(300)
    path.write_bytes(data)
    monkeypatch.setattr("eri.media.video.Decoder", Counting)
    results = []
    for thorough in (False, True):
        monkeypatch.setattr(Counting, "thorough", thorough)
        results.append(read_frames(path, 16))
    quick, slow = results
    assert np.array_equal(quick.frames, slow.frames)
    assert np.array_equal(quick.times, slow.times)


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
