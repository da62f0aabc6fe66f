"""A glimpse of a clip: a strip of its face, and the outline of its sound."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from eri.config import FaceConfig
from eri.media.audio import stream_sound
from eri.media.faces import crop_faces
from eri.media.state import State
from eri.media.video import read_frames
from eri.metrics.intensities import Floats
from eri.reports.charts import draw_outline
from eri.reports.html.document import data_url
from eri.storage.media import at_hand
from eri.utils.errors import MediaError

Pixels = NDArray[np.uint8]

_SIDE = 88
_QUALITY = 80
_LONGEST_SIDE = 480
_SAMPLES = 800
"""Samples whose loudest stands for them: 50 ms."""

_COLUMNS = 150


@dataclass(frozen=True)
class Strip:
    """Pictures of a clip.

    Attributes:
        pictures: JPEG as data URLs, each with its time in seconds.
        note: What is wrong with them; empty where nothing is.
    """

    pictures: tuple[tuple[str, float], ...] = ()
    note: str = ""


def draw_strip(video: Path | None, count: int = 6) -> Strip:
    """Cut the face out of frames that are evenly spread over a video; the whole frames where no face is found.

    Args:
        video: A file, or a folder of pictures; None where the clip has none.
        count: Frames.
    """
    if video is None:
        return Strip(note="No pictures: the data name no video.")
    try:
        with at_hand(video) as file:
            frames = read_frames(file, count, max_side=_LONGEST_SIDE)
    except MediaError as error:
        return Strip(note=f"No pictures: {error.message}")
    crops = crop_faces(frames, FaceConfig(detector="dlib", every=2), _SIDE)
    seen = np.flatnonzero(crops.states == State.VALID)
    if len(seen):
        missing = len(frames.frames) - len(seen)
        note = f"No face in {missing} of {len(frames.frames)} frames." if missing else ""
        return Strip(_encode(crops.pictures, frames.times[seen]), note)
    whole = crop_faces(frames, FaceConfig(detector="none"), _SIDE)
    shown = np.flatnonzero(whole.states == State.VALID)
    return Strip(_encode(whole.pictures, frames.times[shown]), "No face was found: whole frames are shown.")


def encode_jpeg(picture: Pixels, quality: int = _QUALITY) -> bytes:
    """Encode a picture, uint8 RGB (height, width, 3), as a JPEG file."""
    import cv2

    return bytes(cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def _encode(pictures: Pixels, times: Floats) -> tuple[tuple[str, float], ...]:
    urls = [data_url(encode_jpeg(picture), "image/jpeg") for picture in pictures]
    return tuple(zip(urls, times.tolist(), strict=True))


def draw_envelope(sound: Path | None) -> tuple[Markup | None, str]:
    """Draw the outline of a clip's sound, scaled to its loudest peak, and say what is wrong with it.

    Args:
        sound: Any media file; None where the clip has none. Only its peaks are kept in memory.
    """
    if sound is None:
        return None, "No sound: the data name none."
    try:
        with at_hand(sound) as file:
            peaks = np.concatenate([_peaks(block) for block in stream_sound(file)])
    except MediaError as error:
        return None, f"No sound: {error.message}"
    loudest = float(peaks.max())
    if loudest == 0:
        return None, "Silence."
    columns = min(_COLUMNS, len(peaks))
    edges = np.linspace(0, len(peaks), columns + 1).round().astype(int)
    heights = np.array([peaks[a:b].max() for a, b in pairwise(edges)]) / loudest
    seconds = len(peaks) * _SAMPLES / 16_000
    return draw_outline(heights, f"outline of {seconds:.1f} s of sound, loudest peak {loudest:.2f}"), ""


def _peaks(block: NDArray[np.float32]) -> Floats:
    padded = np.pad(np.abs(np.asarray(block, dtype=np.float64)), (0, -len(block) % _SAMPLES))
    peaks: Floats = padded.reshape(-1, _SAMPLES).max(axis=1)
    return peaks
