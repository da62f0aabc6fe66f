"""Small real media files, written with PyAV: each test makes the clip that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from eri.media.on_device import require_torchcodec
from eri.utils.errors import MissingDependencyError

Picture = NDArray[np.uint8]
TIME_BASE = Fraction(1, 90_000)
_CLOCK_ROWS = 8
_CLOCK_BITS = 10


def need_torchcodec() -> None:
    """Skip the test where torchcodec or FFmpeg's shared libraries are not installed."""
    try:
        require_torchcodec()
    except MissingDependencyError as error:
        pytest.skip(str(error))


def clock(size: tuple[int, int] = (160, 120)) -> Callable[[float], Picture]:
    """Return a painter whose pictures tell their own time; :func:`read_clock` reads it back.

    The time, in hundredths of a second, stands in black and white blocks along the top; below it the picture's left
    half is red and its right half blue, with a green patch in the bottom left corner: orientation and colours show.
    """
    width, height = size

    def paint(time: float) -> Picture:
        picture = np.zeros((height, width, 3), dtype=np.uint8)
        picture[:, : width // 2] = (200, 30, 30)
        picture[:, width // 2 :] = (30, 30, 200)
        picture[3 * height // 4 :, : width // 4] = (30, 200, 30)
        hundredths = round(time * 100)
        step = width // _CLOCK_BITS
        for bit in range(_CLOCK_BITS):
            on = hundredths >> bit & 1
            picture[: height // _CLOCK_ROWS * 2, bit * step : (bit + 1) * step] = 255 * on
        return picture

    return paint


def read_clock(picture: Picture) -> float:
    """Return the seconds that a picture of :func:`clock` shows, after any lossy coding."""
    height, width = picture.shape[:2]
    step = width // _CLOCK_BITS
    row = picture[height // _CLOCK_ROWS].mean(axis=1)
    bits = [row[bit * step + step // 4 : (bit + 1) * step - step // 4].mean() > 127 for bit in range(_CLOCK_BITS)]
    return sum(1 << bit for bit, on in enumerate(bits) if on) / 100


def tone(seconds: float, rate: int = 16_000, frequency: float = 440.0, amplitude: float = 0.5) -> NDArray[np.float32]:
    """Return a sine, float32 (samples,)."""
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def write_clip(
    path: Path,
    seconds: float = 1.0,
    *,
    fps: float = 25,
    size: tuple[int, int] = (160, 120),
    frames: Callable[[float], Picture] | None = None,
    times: Sequence[float] | None = None,
    vfr: bool = False,
    rotation: int = 0,
    mirrored: bool = False,
    video: bool = True,
    video_codec: str = "libx264",
    video_options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    key_every: int | None = None,
    pixel_aspect: Fraction | None = None,
    audio: bool | NDArray[np.float32] = True,
    audio_seconds: float | None = None,
    audio_start: float = 0.0,
    audio_gap: tuple[float, float] | None = None,
    audio_rate: int = 16_000,
    audio_codec: str = "aac",
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a small clip; the suffix of ``path`` chooses the container.

    Args:
        path: Where; parent folders are made.
        seconds: Length of the pictures.
        fps: Pictures a second, unless ``times`` are given.
        size: Width and height as stored.
        frames: Paints the RGB picture of a time in seconds; :func:`clock` by default.
        times: When each picture appears, ascending; overrides ``fps``, ``seconds`` gives the end.
        vfr: Halve the frame rate in the second half of the clip.
        rotation: Clockwise degrees by which players turn the pictures.
        mirrored: Whether players swap left and right after turning.
        video: False writes sound only.
        video_codec: FFmpeg's name.
        video_options: Of the encoder; x264 is made quick by default.
        pixel_format: Such as ``yuvj420p``.
        key_every: Distance of key frames in pictures.
        pixel_aspect: Width of a stored pixel over its height.
        audio: True for a tone, False for no track, or mono samples in [-1, 1] at ``audio_rate``.
        audio_seconds: Length of the tone; None is ``seconds``.
        audio_start: Seconds by which the sound begins after the pictures.
        audio_gap: Where in the sound, in seconds, and for how long its clock runs on without samples.
        audio_rate: Samples a second.
        audio_codec: FFmpeg's name.
        container_options: Of the muxer, such as ``{"movflags": "frag_keyframe"}``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        pictures: VideoStream | None = None
        if video:
            pictures = _video_stream(
                container, video_codec, fps, size, pixel_format, key_every, pixel_aspect, video_options
            )
            if rotation or mirrored:
                pictures.set_display_rotation(-rotation, hflip=mirrored)
        sound: AudioStream | None = None
        if audio is not False:
            sound = _audio_stream(container, audio_codec, audio_rate)
        container.start_encoding()  # writes the header even when nothing follows
        if pictures is not None:
            onsets = list(times) if times is not None else list(_onsets(seconds, fps, vfr))
            _write_pictures(container, pictures, onsets, frames or clock(size))
        if sound is not None:
            length = seconds if audio_seconds is None else audio_seconds
            samples = audio if isinstance(audio, np.ndarray) else tone(length, audio_rate)
            _write_samples(container, sound, samples[None], audio_start, audio_gap)
    return path


def write_wav(
    path: Path,
    seconds: float = 1.0,
    *,
    rate: int = 16_000,
    samples: NDArray[np.float32] | None = None,
    channels: int = 1,
    codec: str = "pcm_s16le",
) -> Path:
    """Write a sound file; the suffix chooses the format, ``codec`` the coding (wav, flac, mp3, ...).

    Args:
        path: Where; parent folders are made.
        seconds: Length of the tone that is written unless ``samples`` are given.
        rate: Samples a second.
        samples: In [-1, 1], float32 (samples,) or (channels, samples).
        channels: The same samples go to each channel, unless ``samples`` has channels of its own.
        codec: FFmpeg's name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    values = tone(seconds, rate) if samples is None else samples
    if values.ndim == 1:
        values = np.repeat(values[None], channels, axis=0)
    with av.open(str(path), "w") as container:
        stream = _audio_stream(container, codec, rate, "mono" if len(values) == 1 else "stereo")
        container.start_encoding()  # writes the header even when nothing follows
        if values.size:
            _write_samples(container, stream, values)
    return path


def write_song_with_cover(path: Path, seconds: float = 1.0) -> Path:
    """Write a sound file (.mp3 or .flac) that carries a cover picture."""
    codec = {".mp3": "libmp3lame", ".flac": "flac"}[path.suffix]
    with av.open(str(path), "w") as container:
        sound = _audio_stream(container, codec, 16_000)
        cover = _video_stream(container, "mjpeg", 1, (64, 64), "yuvj420p", None, None, None)
        cover.disposition = Disposition.attached_pic
        _write_pictures(container, cover, [0.0], clock((64, 64)))
        _write_samples(container, sound, tone(seconds)[None])
    return path


def cut(path: Path, keep: float) -> Path:
    """Cut a file short: ``keep`` is the share of its bytes that stays."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def _onsets(seconds: float, fps: float, vfr: bool) -> Iterator[float]:
    number, time = 0, 0.0
    while time < seconds - 1e-9:
        yield time
        number += 1
        time = time + 2 / fps if vfr and time >= seconds / 2 else number / fps if not vfr else time + 1 / fps


def _video_stream(
    container: OutputContainer,
    codec: str,
    fps: float,
    size: tuple[int, int],
    pixel_format: str,
    key_every: int | None,
    pixel_aspect: Fraction | None,
    options: dict[str, str] | None,
) -> VideoStream:
    stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = size[0], size[1], pixel_format
    if codec not in ("mpeg1video", "mpeg2video", "mpeg4", "h263", "mjpeg"):
        stream.codec_context.time_base = TIME_BASE
    if codec == "libx264":
        stream.options = {"preset": "ultrafast", "crf": "15", **(options or {})}
    else:
        stream.options = {**(options or {})}
    if key_every is not None:
        stream.gop_size = key_every
    if pixel_aspect is not None:
        stream.codec_context.sample_aspect_ratio = pixel_aspect
    return stream


def _audio_stream(container: OutputContainer, codec: str, rate: int, layout: str = "mono") -> AudioStream:
    stream = container.add_stream(codec, rate=rate, layout=layout)
    assert isinstance(stream, AudioStream)
    return stream


def _write_pictures(
    container: OutputContainer, stream: VideoStream, onsets: Sequence[float], paint: Callable[[float], Picture]
) -> None:
    base = stream.codec_context.time_base or TIME_BASE
    for onset in onsets:
        frame = av.VideoFrame.from_ndarray(paint(onset), format="rgb24")
        frame = frame.reformat(format=stream.pix_fmt)
        frame.pts, frame.time_base = round(onset / base), base
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _write_samples(
    container: OutputContainer,
    stream: AudioStream,
    samples: NDArray[np.float32],
    start: float = 0.0,
    gap: tuple[float, float] | None = None,
) -> None:
    layout = stream.codec_context.layout.name
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, dtype=np.float32), "fltp", layout)
    frame.sample_rate, frame.time_base, frame.pts = stream.rate, Fraction(1, stream.rate), 0
    resampler = av.AudioResampler(format=stream.format, layout=layout, rate=stream.rate)
    fifo = av.AudioFifo()
    for converted in resampler.resample(frame):
        fifo.write(converted)
    size = stream.codec_context.frame_size or 1024
    while (piece := fifo.read(size, partial=True)) is not None:
        time = (piece.pts or 0) / stream.rate
        late = start + (gap[1] if gap is not None and time >= gap[0] else 0.0)
        piece.pts = round((time + late) * stream.rate)
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))
