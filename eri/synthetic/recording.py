"""Recording: frames and samples to an MP4 (H.264 and AAC) and a WAV file."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from eri.synthetic.voice import RATE
from eri.utils.files import atomic_path

_TICKS = 15_360
"""Ticks of the video's clock a second: whole for 10, 12 and 15 frames a second."""


def write_video(
    target: Path,
    frames: Iterable[NDArray[np.uint8]],
    times: NDArray[np.float64],
    sound: NDArray[np.float32] | None,
    *,
    rotation: int = 0,
    separate: bool = False,
) -> None:
    """Encode a clip in one atomic step.

    Args:
        target: The ``.mp4`` file.
        frames: RGB pictures of one even size, one for each time.
        times: When each frame comes on screen, seconds, ascending from 0; the rate may change.
        sound: Mono samples at 16 kHz, or None for a file without an audio track.
        rotation: Clockwise degrees by which a player must turn the stored pictures: 0 or 90. The frames given are
            upright; they are stored turned the other way.
        separate: Encode each frame by itself and alike, so that its picture does not tell its neighbours or its place.
    """
    with atomic_path(target) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=round(1 / float(np.median(np.diff(times)))))
        video.pix_fmt = "yuv420p"
        # With its macroblock tree x264 does not give the same bytes each time, not even on one thread.
        quality = {"qp": "20", "g": "1"} if separate else {"crf": "24"}
        video.options = {"preset": "veryfast", **quality, "threads": "1", "mbtree": "0"}
        video.codec_context.time_base = Fraction(1, _TICKS)
        audio = None
        if sound is not None:
            audio = container.add_stream("aac", rate=RATE, layout="mono")
            audio.codec_context.bit_rate = 48_000
        for index, (picture, time) in enumerate(zip(frames, times, strict=True)):
            stored = np.ascontiguousarray(np.rot90(picture, rotation // 90))
            if index == 0:
                video.height, video.width = stored.shape[:2]
                if rotation:
                    video.set_display_rotation(-rotation)
            planes = cv2.cvtColor(stored, cv2.COLOR_RGB2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = round(time * _TICKS), Fraction(1, _TICKS)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            samples = av.AudioFrame.from_ndarray(sound[None, :], format="fltp", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = RATE, 0, Fraction(1, RATE)
            container.mux(audio.encode(samples))
            container.mux(audio.encode())


def write_wave(target: Path, sound: NDArray[np.float32]) -> None:
    """Write mono samples in [-1, 1] as 16-bit PCM at 16 kHz, in one atomic step."""
    with atomic_path(target) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())
