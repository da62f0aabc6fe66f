"""Every file is described, or refused by a name that says why."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from eri.media import streams
from eri.media.audio import read_audio
from eri.media.container import probe_media
from eri.media.video import read_frames
from eri.utils.errors import (
    EmptyMediaError,
    ForbiddenMediaError,
    MediaError,
    MissingMediaError,
    NotAFileError,
    NotMediaError,
    NoVideoError,
    OversizedMediaError,
    TruncatedMediaError,
)
from tests.factories.media import cut, write_clip, write_song_with_cover, write_wav

READERS: list[Callable[[Path], object]] = [lambda path: read_frames(path, 4), read_audio, probe_media]


def missing(folder: Path) -> Path:
    return folder / "nothing.mp4"


def below_a_file(folder: Path) -> Path:
    return write_wav(folder / "a.wav") / "b.mp4"


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("File_ID,Split\n[00000],Train\n" * 50, encoding="utf-8")
    return folder / "text.mp4"


def one_byte(folder: Path) -> Path:
    (folder / "byte.mp4").write_bytes(b"\0")
    return folder / "byte.mp4"


def noise(folder: Path) -> Path:
    (folder / "noise.wav").write_bytes(random.Random(7).randbytes(20_000))
    return folder / "noise.wav"


def picture(folder: Path) -> Path:
    (folder / "picture.mp4").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2000))
    return folder / "picture.mp4"


def playlist(folder: Path) -> Path:
    write_clip(folder / "a.ts")
    (folder / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n")
    return folder / "list.mp4"


def script(folder: Path) -> Path:
    write_clip(folder / "a.ts")
    (folder / "script.mp4").write_text("ffconcat version 1.0\nfile a.ts\n")
    return folder / "script.mp4"


def half_an_mp4(folder: Path) -> Path:
    return cut(write_clip(folder / "half.mp4"), 0.5)


def head_of_mkv(folder: Path) -> Path:
    return cut(write_clip(folder / "head.mkv"), 0.02)


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def loop(folder: Path) -> Path:
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    return folder / "loop.mp4"


def long_name(folder: Path) -> Path:
    return folder / ("a" * 300 + ".mp4")


@pytest.mark.parametrize(
    ("make", "error", "reason"),
    [
        (missing, MissingMediaError, "missing"),
        (below_a_file, MissingMediaError, "missing"),
        (empty, EmptyMediaError, "empty"),
        (text, NotMediaError, "not-media"),
        (one_byte, NotMediaError, "not-media"),
        (noise, NotMediaError, "not-media"),
        (picture, NotMediaError, "not-media"),
        (playlist, NotMediaError, "not-media"),
        (script, NotMediaError, "not-media"),
        (half_an_mp4, TruncatedMediaError, "truncated"),
        (head_of_mkv, TruncatedMediaError, "truncated"),
        (pipe, NotAFileError, "not-a-file"),
        (loop, MediaError, "unreadable"),
        (long_name, MediaError, "unreadable"),
    ],
)
@pytest.mark.timeout(20)
def test_bad_files_are_refused_by_name(tmp_path, make, error, reason):
    path = make(tmp_path)
    for read in READERS:
        with pytest.raises(error) as caught:
            read(path)
        assert caught.value.reason == reason
        assert caught.value.path == path
        assert str(path) in str(caught.value)


def test_a_folder_is_no_sound(tmp_path):
    with pytest.raises(NotAFileError) as caught:
        read_audio(tmp_path)
    assert caught.value.reason == "not-a-file"
    with pytest.raises(NoVideoError):
        read_frames(tmp_path, 4)


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Root may read everything: become someone else for the length of a test."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_is_refused(tmp_path, ordinary_user):
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"eri-forbidden-{os.getpid()}"
    folder.mkdir()
    try:
        path = write_wav(folder / "a.wav")
        path.chmod(0)
        for read in READERS:
            with pytest.raises(ForbiddenMediaError) as caught:
                read(path)
            assert caught.value.reason == "forbidden"
        folder.chmod(0)
        with pytest.raises(ForbiddenMediaError):
            probe_media(path)
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_errors_travel_between_processes(tmp_path):
    with pytest.raises(EmptyMediaError) as caught:
        probe_media(empty(tmp_path))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.path, copy.reason, str(copy)) == (
        EmptyMediaError,
        caught.value.path,
        "empty",
        str(caught.value),
    )


def test_pictures_larger_than_the_limit_are_refused(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", seconds=0.2)
    monkeypatch.setattr(streams, "MAX_PIXELS", 160 * 120 - 1)
    for read in (READERS[0], READERS[2]):
        with pytest.raises(OversizedMediaError) as caught:
            read(path)
        assert caught.value.reason == "too-large"


def test_more_packets_than_the_limit_are_refused(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", seconds=1.0)
    monkeypatch.setattr(streams, "MAX_PACKETS", 10)
    for read in READERS:
        with pytest.raises(OversizedMediaError, match="packets"):
            read(path)


@pytest.mark.parametrize("name", ["a b.mp4", "100%25.mp4", "what?.mp4", "#1.mp4", "http:x.mp4", "ü-字.mp4", "-i.mp4"])
def test_any_file_name_can_be_read(tmp_path, name):
    path = write_clip(tmp_path / "plain.mp4", seconds=0.2).rename(tmp_path / name)
    assert probe_media(path).has_video
    assert len(read_frames(path, 2).frames) == 2
    assert read_audio(path).duration > 0


def test_a_file_name_that_is_no_text_can_be_read(tmp_path):
    path = write_clip(tmp_path / "plain.mp4", seconds=0.2).rename(tmp_path / os.fsdecode(b"\xff\xfe.mp4"))
    assert len(read_frames(path, 2).frames) == 2


def test_probing_tells_what_is_there(tmp_path):
    info = probe_media(write_clip(tmp_path / "a.mp4", seconds=2.0, rotation=90, audio_rate=44_100))
    assert info.duration == pytest.approx(2.0, abs=0.05)
    assert (info.width, info.height, info.rotation, info.mirrored) == (120, 160, 90, False)
    assert info.frame_rate == pytest.approx(25.0)
    assert (info.frames, info.variable_frame_rate) == (50, False)
    assert (info.video_codec, info.audio_codec, info.sample_rate) == ("h264", "aac", 44_100)
    assert info.audio_duration == pytest.approx(2.0, abs=0.05)
    assert info.has_video
    assert info.has_audio
    assert info.size_bytes == info.path.stat().st_size
    assert info.notes == ()


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_probing_tells_the_orientation(tmp_path, rotation, mirrored):
    info = probe_media(write_clip(tmp_path / "a.mp4", seconds=0.2, rotation=rotation, mirrored=mirrored, audio=False))
    assert (info.rotation, info.mirrored) == (rotation, mirrored)
    assert (info.width, info.height) == ((120, 160) if rotation % 180 else (160, 120))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_probing_tells_a_changing_frame_rate_from_rounded_times(tmp_path, suffix):
    steady = write_clip(tmp_path / f"steady.{suffix}", fps=30, seconds=2.0, audio=False)
    assert not probe_media(steady).variable_frame_rate
    changing = write_clip(tmp_path / f"changing.{suffix}", fps=30, seconds=2.0, vfr=True, audio=False)
    assert probe_media(changing).variable_frame_rate


def test_probing_tells_the_displayed_size_of_pixels_that_are_not_square(tmp_path):
    info = probe_media(write_clip(tmp_path / "a.mp4", size=(120, 120), pixel_aspect=Fraction(4, 3), seconds=0.2))
    assert (info.width, info.height) == (160, 120)


def test_probing_a_sound_file_tells_that_a_cover_is_no_video(tmp_path):
    info = probe_media(write_song_with_cover(tmp_path / "a.mp3"))
    assert (info.has_video, info.has_audio, info.width, info.frames) == (False, True, None, None)
    assert info.duration == pytest.approx(1.0, abs=0.1)


def test_probing_a_file_with_neither_pictures_nor_sound_is_refused(tmp_path):
    with pytest.raises(NoVideoError, match="neither"):
        probe_media(write_clip(tmp_path / "a.mp4", times=[], audio=False))


def test_probing_tells_that_a_file_ends_early(tmp_path):
    path = write_clip(tmp_path / "a.mp4", seconds=4.0, container_options={"movflags": "faststart"})
    assert any("ends early" in note for note in probe_media(cut(path, 0.5)).notes)


@settings(max_examples=60, deadline=10_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(["mp4", "mkv", "ts", "avi", "wav", "mp3"]),
    keep=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**32),
    flips=st.integers(0, 60),
)
@example(suffix="mp4", keep=1.0, seed=0, flips=0)
def test_damage_of_any_kind_ends_in_a_result_or_a_named_error(tmp_path, suffix, keep, seed, flips):
    original = tmp_path / f"original.{suffix}"
    if not original.exists():
        if suffix in ("wav", "mp3"):
            write_wav(original, codec={"wav": "pcm_s16le", "mp3": "libmp3lame"}[suffix])
        elif suffix == "avi":
            write_clip(original, video_codec="mpeg4", audio_codec="libmp3lame")
        else:
            write_clip(original)
    data = bytearray(original.read_bytes())
    generator = random.Random(seed)
    for _ in range(flips):
        data[generator.randrange(len(data))] = generator.randrange(256)
    path = tmp_path / f"damaged.{suffix}"
    path.write_bytes(bytes(data[: int(keep * len(data))]))
    for read in READERS:
        with contextlib.suppress(MediaError):
            read(path)
