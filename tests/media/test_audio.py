"""Audio comes at 16 kHz, mono, with every sample at its moment."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest
from numpy.typing import NDArray

from eri.media.audio import SAMPLE_RATE, Audio, read_audio, stream_audio
from eri.utils.errors import NoAudioError, OversizedMediaError, TruncatedMediaError
from tests.factories.media import cut, tone, write_clip, write_song_with_cover, write_wav


def beep(rate: int, at: float = 0.5, seconds: float = 1.0) -> NDArray[np.float32]:
    """Return silence with 50 ms of 1 kHz in it."""
    samples = np.zeros(round(seconds * rate), dtype=np.float32)
    samples[round(at * rate) :][: rate // 20] = tone(0.05, rate, 1000.0, 0.8)
    return samples


def heard(sound: Audio) -> float:
    """Return the second at which the beep begins."""
    return sound.start + int(np.argmax(np.abs(sound.samples) > 0.3)) / SAMPLE_RATE


@pytest.mark.parametrize("channels", [1, 2])
def test_wav_at_16_khz_is_read_sample_for_sample(tmp_path, channels):
    sound = read_audio(write_wav(tmp_path / "a.wav", channels=channels))
    assert sound.start == 0.0
    assert sound.samples.dtype == np.float32
    assert not sound.samples.flags.writeable
    assert np.abs(sound.samples - tone(1.0)).max() < 1e-4


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"),
    [
        ("wav", "pcm_s16le", 44_100),
        ("wav", "pcm_s24le", 48_000),
        ("wav", "pcm_f32le", 8_000),
        ("wav", "pcm_u8", 22_050),
        ("flac", "flac", 22_050),
        ("mp3", "libmp3lame", 44_100),
        ("mp3", "libmp3lame", 16_000),
        ("opus", "libopus", 48_000),
    ],
)
def test_every_sound_format_keeps_its_moments_and_loudness(tmp_path, suffix, codec, rate):
    sound = read_audio(write_wav(tmp_path / f"a.{suffix}", rate=rate, codec=codec, samples=beep(rate)))
    assert heard(sound) == pytest.approx(0.5, abs=0.002)
    assert sound.duration == pytest.approx(1.0, abs=0.002)
    assert np.abs(sound.samples).max() == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_resampling_keeps_a_tone(tmp_path, rate):
    sound = read_audio(write_wav(tmp_path / "a.wav", rate=rate))
    inner = slice(400, -400)
    assert np.abs(sound.samples[inner] - tone(1.0)[inner]).max() < 2e-3


def test_channels_are_averaged_so_that_nothing_clips(tmp_path):
    both = np.stack([tone(1.0, amplitude=0.9), tone(1.0, amplitude=0.9)])
    left = np.stack([tone(1.0, amplitude=0.8), np.zeros(16_000, dtype=np.float32)])
    for codec in ("pcm_s16le", "pcm_f32le"):
        assert np.abs(read_audio(write_wav(tmp_path / "b.wav", samples=both, codec=codec)).samples).max() < 0.91
        peak = np.abs(read_audio(write_wav(tmp_path / "l.wav", samples=left, codec=codec)).samples).max()
        assert peak == pytest.approx(0.4, abs=0.01)


def test_samples_that_are_no_numbers_become_silence(tmp_path):
    samples = tone(1.0)
    samples[100:200] = np.nan
    sound = read_audio(write_wav(tmp_path / "a.wav", samples=samples, codec="pcm_f32le"))
    assert np.isfinite(sound.samples).all()
    assert np.abs(sound.samples).max() <= 1.0


@pytest.mark.parametrize(
    ("suffix", "video_codec", "codec", "rate"),
    [
        ("mp4", "libx264", "aac", 44_100),
        ("mov", "libx264", "pcm_s16le", 44_100),
        ("mkv", "libx264", "aac", 48_000),
        ("webm", "libvpx-vp9", "libopus", 48_000),
        ("ts", "libx264", "aac", 44_100),
        ("flv", "flv", "libmp3lame", 44_100),
    ],
)
def test_a_late_track_keeps_its_place_beside_the_pictures(tmp_path, suffix, video_codec, codec, rate):
    path = write_clip(
        tmp_path / f"a.{suffix}",
        seconds=1.5,
        video_codec=video_codec,
        audio_codec=codec,
        audio_rate=rate,
        audio=beep(rate),
        audio_start=0.3,
        video_options={"deadline": "realtime", "cpu-used": "8"} if suffix == "webm" else None,
    )
    sound = read_audio(path)
    assert sound.start == pytest.approx(0.3, abs=0.03)  # an encoder's padding may come first
    assert heard(sound) == pytest.approx(0.8, abs=0.003)


def test_the_padding_that_an_edit_list_hides_is_left_out(tmp_path):
    path = write_clip(tmp_path / "a.mp4", audio=beep(44_100), audio_rate=44_100)
    sound = read_audio(path)
    assert sound.start == 0.0
    assert heard(sound) == pytest.approx(0.5, abs=0.003)


def test_a_gap_in_the_track_becomes_silence(tmp_path):
    path = write_clip(
        tmp_path / "a.mkv", seconds=3.0, audio=tone(2.0), audio_codec="flac", audio_gap=(1.0, 0.5), audio_rate=16_000
    )
    sound = read_audio(path)
    assert sound.duration == pytest.approx(2.5, abs=0.01)
    assert not sound.samples[round(1.12 * SAMPLE_RATE) : round(1.48 * SAMPLE_RATE)].any()
    assert np.abs(sound.samples[round(1.7 * SAMPLE_RATE) :]).max() > 0.4
    assert any("gap" in note for note in sound.notes)


def test_sound_that_overlaps_is_cut(tmp_path):
    parts = [
        write_clip(tmp_path / f"{start}.ts", video=False, audio=samples, audio_codec="mp2", audio_start=start)
        for start, samples in ((0.0, np.zeros(16_000, dtype=np.float32)), (0.7, beep(16_000)))
    ]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    sound = read_audio(path)
    assert heard(sound) == pytest.approx(1.2, abs=0.05)
    assert any("overlap" in note for note in sound.notes)


def test_a_clock_that_jumps_past_the_files_end_is_not_believed(tmp_path):
    samples = np.concatenate([tone(1.0), beep(16_000)])
    path = write_clip(tmp_path / "a.ts", seconds=3.0, audio=samples, audio_codec="mp2", audio_gap=(1.0, 5000.0))
    sound = read_audio(path)
    assert sound.duration == pytest.approx(2.0, abs=0.1)
    assert any("clock" in note for note in sound.notes)


@pytest.mark.parametrize(("seconds", "word"), [(3.0, "longer"), (0.4, "shorter")])
def test_sound_of_another_length_than_the_pictures_is_whole_and_told(tmp_path, seconds, word):
    sound = read_audio(write_clip(tmp_path / "a.mp4", seconds=1.0, audio_seconds=seconds))
    assert sound.duration == pytest.approx(seconds, abs=0.1)
    assert [note for note in sound.notes if f"audio {word} than video" in note]


def test_the_cover_of_a_song_does_not_disturb_its_sound(tmp_path):
    assert read_audio(write_song_with_cover(tmp_path / "a.mp3")).duration == pytest.approx(1.0, abs=0.01)


def test_a_file_without_sound_says_so(tmp_path):
    for path in (write_clip(tmp_path / "a.mp4", audio=False), write_wav(tmp_path / "b.wav", seconds=0.0)):
        with pytest.raises(NoAudioError) as caught:
            read_audio(path)
        assert caught.value.reason == "no-audio"
        with pytest.raises(NoAudioError):
            list(stream_audio(path))


def test_truncated_sound_gives_what_is_left(tmp_path):
    samples = tone(4.0)
    for suffix, codec in (("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "libmp3lame")):
        path = cut(write_wav(tmp_path / f"a.{suffix}", samples=samples, codec=codec), 0.5)
        assert 1.0 < read_audio(path).duration < 3.0


def test_sound_of_which_nothing_decodes_is_refused(tmp_path):
    path = write_wav(tmp_path / "a.flac", seconds=2.0, codec="flac")
    data = bytearray(path.read_bytes())
    first_frame = data.index(b"\xff\xf8")
    data[first_frame:] = bytes(len(data) - first_frame)
    path.write_bytes(bytes(data))
    with pytest.raises((TruncatedMediaError, NoAudioError)):
        read_audio(path)


def test_long_sound_is_kept_in_a_file_and_is_the_same(tmp_path):
    path = write_wav(tmp_path / "a.wav", seconds=3.0, rate=22_050)
    memory, spilled = read_audio(path), read_audio(path, spill_seconds=1.0)
    assert isinstance(spilled.samples, np.memmap)
    assert not isinstance(memory.samples, np.memmap)
    np.testing.assert_array_equal(memory.samples, spilled.samples)
    assert not spilled.samples.flags.writeable


def test_long_sound_that_finds_no_room_says_where(tmp_path, monkeypatch):
    path = write_wav(tmp_path / "a.wav", seconds=3.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(OversizedMediaError, match="gone") as caught:
        read_audio(path, spill_seconds=1.0)
    assert "TMPDIR" in str(caught.value)


@pytest.mark.parametrize("block", [0.01, 0.5, 0.7, 10.0])
def test_streaming_gives_the_same_samples_in_pieces(tmp_path, block):
    path = write_wav(tmp_path / "a.wav", seconds=2.0, rate=22_050)
    pieces = list(stream_audio(path, block))
    assert {len(piece) for piece in pieces[:-1]} <= {int(block * SAMPLE_RATE)}
    np.testing.assert_array_equal(np.concatenate(pieces), read_audio(path).samples)


def test_a_block_shorter_than_a_sample_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="block"):
        next(stream_audio(write_wav(tmp_path / "a.wav"), 0.0))
