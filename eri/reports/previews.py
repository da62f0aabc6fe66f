"""A preview of a clip: a strip of its face, and the outline of its audio."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from eri.config import FaceConfig
from eri.media.audio import stream_audio
from eri.media.faces import crop_faces
from eri.media.state import State
from eri.media.video import read_frames
from eri.metrics.intensities import Floats
from eri.reports.charts import draw_waveform
from eri.reports.page import data_url
from eri.storage.mirror import at_hand
from eri.utils.errors import MediaError

_SIDE = 88
_LONGEST_SIDE = 480
_SAMPLES = 800  # whose loudest stands for them: 50 ms
_COLUMNS = 150


def preview_frames(video: Path | None, count: int = 6) -> tuple[list[tuple[str, float]], str]:
    """Cut the face out of frames that are evenly spread over a video; the whole frames where no face is found.

    Args:
        video: A file, or a folder of images; None where the clip has none.
        count: Frames.

    Returns:
        JPEG images as data URLs, each with its time in seconds, and what is wrong with them; empty where nothing is.
    """
    if video is None:
        return [], "No images: the data name no video."
    try:
        with at_hand(video) as file:
            frames = read_frames(file, count, max_side=_LONGEST_SIDE)
    except MediaError as error:
        return [], f"No images: {error.message}"
    crops = crop_faces(frames, FaceConfig(detector="dlib", every=2), _SIDE)
    missing = int((crops.states != State.VALID).sum())
    note = f"No face in {missing} of {len(frames.frames)} frames." if missing else ""
    if missing == len(frames.frames):
        crops = crop_faces(frames, FaceConfig(detector="none"), _SIDE)
        note = "No face was found: whole frames are shown."
    urls = [data_url(_encode_jpeg(image), "image/jpeg") for image in crops.images]
    return list(zip(urls, frames.times[crops.states == State.VALID].tolist(), strict=True)), note


def _encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    import cv2

    return bytes(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1])


def preview_audio(audio: Path | None) -> tuple[Markup | None, str]:
    """Draw the outline of a clip's audio, scaled to its loudest peak, and return what is wrong with it.

    Args:
        audio: Any media file; None where the clip has none. Only its peaks are kept in memory.
    """
    if audio is None:
        return None, "No audio: the data name none."
    try:
        with at_hand(audio) as file:
            peaks = np.concatenate([_peaks(block) for block in stream_audio(file)])
    except MediaError as error:
        return None, f"No audio: {error.message}"
    loudest = float(peaks.max())
    if loudest == 0:
        return None, "The audio is silent."
    edges = np.linspace(0, len(peaks), min(_COLUMNS, len(peaks)) + 1).round().astype(int)
    heights = np.array([peaks[a:b].max() for a, b in pairwise(edges)]) / loudest
    seconds = len(peaks) * _SAMPLES / 16_000
    return draw_waveform(heights, f"outline of {seconds:.1f} s of audio, loudest peak {loudest:.2f}"), ""


def _peaks(block: NDArray[np.float32]) -> Floats:
    padded = np.pad(np.abs(np.asarray(block, dtype=np.float64)), (0, -len(block) % _SAMPLES))
    peaks: Floats = padded.reshape(-1, _SAMPLES).max(axis=1)
    return peaks
