"""The parts that open media: frames and face crops, audio on a grid of rows. Workers import this, so no torch."""

from __future__ import annotations

import hashlib
import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eri.config import FaceConfig
from eri.data.clips import Clip
from eri.features.records import Prepared
from eri.media.state import State
from eri.utils.errors import MediaError, NoAudioError, NoVideoError

SILENT_BELOW = 2.0**-16
"""A waveform that stays under half a step of 16-bit audio is digital silence: it holds nothing but rounding."""

_WINDOWS_AT_ONCE = 256


@dataclass(frozen=True)
class Brightening:
    """A change of brightness by a factor in [1, limit), one for all frames of a clip, another per clip and draw."""

    limit: float
    draw: int

    def factor(self, clip_id: str) -> float:
        """Return a clip's factor, uniform in [1, limit).

        Examples:
            >>> brightening = Brightening(1.5, 1)
            >>> 1 <= brightening.factor("00001") < 1.5, brightening.factor("00001") == brightening.factor("00001")
            (True, True)
        """
        drawn = int.from_bytes(hashlib.sha256(f"{self.draw}:{clip_id}".encode()).digest()[:8], "big") / 2**64
        return 1.0 + (self.limit - 1.0) * drawn

    def apply(self, images: NDArray[np.uint8], clip_id: str) -> NDArray[np.uint8]:
        """Multiply images by the clip's factor, rounded, up to white."""
        table = np.minimum(np.rint(np.arange(256) * self.factor(clip_id)), 255).astype(np.uint8)
        return np.take(table, images)


@dataclass(frozen=True)
class ImagePreparer:
    """Decodes frames and crops the subject's face from each, ``side`` pixels high and wide."""

    frames: int  # of a clip
    side: int
    faces: FaceConfig
    device: str = "cpu"  # where the detector runs; only ``retinaface`` uses it
    brightening: Brightening | None = None  # of the crops
    take: Literal["spread", "last"] = "spread"  # frames evenly over the presentation time, or the last ones
    decode_on: str | None = None  # device on which torchcodec decodes; None decodes by PyAV

    def prepare(self, clip: Clip) -> Prepared:
        """Decode one clip; a MediaError where it has no video, or its file is missing, damaged or not media."""
        from eri.media.faces import crop_faces
        from eri.media.video import read_frames, read_last_frames

        if clip.video is None:
            raise NoVideoError(Path(clip.id), "the clip table names no video for this clip")
        read = read_frames if self.take == "spread" else read_last_frames
        frames = read(clip.video, self.frames, device=self.decode_on)
        begun = time.perf_counter()
        crops = crop_faces(frames, self.faces, self.side, device=self.device)
        images = crops.images if self.brightening is None else self.brightening.apply(crops.images, clip.id)
        seconds = time.perf_counter() - begun
        return Prepared(clip.id, images, frames.times, crops.states, frames.notes, face_seconds=seconds)


class AudioPreparer(ABC):
    """Decodes a clip's audio and lays a grid of rows over it; the grid differs from family to family."""

    @abstractmethod
    def times(self, samples: int) -> NDArray[np.float64]:
        """Return the middle of every row in seconds since the first sample, at least one row."""

    @abstractmethod
    def silent(self, samples: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which rows hold nothing but digital silence."""

    def prepare(self, clip: Clip) -> Prepared:
        """Decode one clip's audio; a MediaError where the file is missing, damaged or not media.

        A clip without audio gets rows of :attr:`State.NO_AUDIO` over its video's duration, or one row where that
        is not known.
        """
        from eri.media.audio import SAMPLE_RATE, read_audio

        source = clip.audio_source
        # A folder of face images is a video without an audio track.
        if source is not None and not source.is_dir():
            try:
                audio = read_audio(source)
            except NoAudioError:
                pass
            else:
                return self.lay(clip.id, audio.samples, audio.start, audio.notes)
        times = self.times(round(_duration(clip) * SAMPLE_RATE))
        states = np.full(len(times), State.NO_AUDIO, dtype=np.uint8)
        return self.finish(Prepared(clip.id, np.zeros(0, dtype=np.float32), times, states, ("no audio",)))

    def lay(
        self, clip_id: str, samples: NDArray[np.float32], start: float = 0.0, notes: tuple[str, ...] = ()
    ) -> Prepared:
        """Lay the grid over decoded audio: mono at 16 kHz, at least one sample, the first at second ``start``."""
        states = np.where(self.silent(samples), State.SILENCE, State.VALID).astype(np.uint8)
        return self.finish(Prepared(clip_id, samples, start + self.times(len(samples)), states, notes))

    def finish(self, prepared: Prepared) -> Prepared:
        """Do in the worker what does not need the model: here, nothing."""
        return prepared


@dataclass(frozen=True)
class WindowPreparer(AudioPreparer):
    """Rows are overlapping windows of equal length; window and hop are in samples, the rate in samples per second."""

    window: int
    hop: int
    rate: int

    def times(self, samples: int) -> NDArray[np.float64]:
        """Return the middle of every window in seconds since the first sample."""
        return (np.arange(self.count(samples)) * self.hop + self.window / 2) / self.rate

    def silent(self, samples: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which windows hold nothing but digital silence."""
        return silent_windows(samples, self.window, self.hop, self.count(len(samples)))

    def count(self, samples: int) -> int:
        """Return the number of windows: every sample is in one, the last may reach past the end, at least one."""
        return 1 + max(0, math.ceil((samples - self.window) / self.hop))

    def cut(self, samples: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the windows of some rows, float32 (rows, window); what is after the audio's end is zero."""
        windows = np.zeros((len(rows), self.window), dtype=np.float32)
        for window, row in zip(windows, rows, strict=True):
            piece = samples[row * self.hop : row * self.hop + self.window]
            window[: len(piece)] = piece
        return windows


@dataclass(frozen=True)
class FramePreparer(AudioPreparer):
    """Rows are the output frames of a convolutional front end, or means of them over a longer hop.

    A frame sees ``field`` samples and steps by ``stride``; its time is the middle of what it sees. Without a ``hop``
    (in samples) every frame is kept.
    """

    field: int
    stride: int
    hop: int | None
    rate: int

    def frames(self, samples: int) -> int:
        """Return the number of frames; shorter audio is padded with zeros to give one."""
        return 1 + max(0, (samples - self.field) // self.stride)

    def groups(self, frames: int) -> NDArray[np.int64]:
        """Return the row that each frame is averaged into, ascending from 0 without a gap, (frames,)."""
        if self.hop is None:
            return np.arange(frames, dtype=np.int64)
        middles = np.arange(frames) * self.stride + self.field // 2
        rows: NDArray[np.int64] = np.unique(middles // self.hop, return_inverse=True)[1].astype(np.int64)
        return rows

    def times(self, samples: int) -> NDArray[np.float64]:
        """Return the mean time of every row's frames in seconds since the first sample."""
        frames = self.frames(samples)
        groups = self.groups(frames)
        middles = (np.arange(frames) * self.stride + self.field / 2) / self.rate
        means: NDArray[np.float64] = np.bincount(groups, middles) / np.bincount(groups)
        return means

    def silent(self, samples: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which rows have only frames that see nothing but digital silence."""
        frames = self.frames(len(samples))
        silent = silent_windows(samples, self.field, self.stride, frames)
        rows: NDArray[np.bool_] = np.bincount(self.groups(frames), ~silent) == 0
        return rows


def silent_windows(samples: NDArray[np.float32], window: int, hop: int, count: int) -> NDArray[np.bool_]:
    """Return which windows stay under :data:`SILENT_BELOW`, reading a long memory map piece by piece.

    A window that reaches past the end is judged by what is there.

    Examples:
        >>> silent_windows(np.array([0, 0, 0, 0, 0.5], dtype=np.float32), 2, 2, 3)
        array([ True,  True, False])
    """
    silent = np.ones(count, dtype=np.bool_)
    for first in range(0, count, _WINDOWS_AT_ONCE):
        last = min(count, first + _WINDOWS_AT_ONCE)
        piece = samples[first * hop : (last - 1) * hop + window]
        loud = np.flatnonzero(np.abs(piece) >= SILENT_BELOW)
        starts = np.arange(last - first) * hop
        # A window is loud when some loud sample lies between its start and its end.
        silent[first:last] = np.searchsorted(loud, starts) == np.searchsorted(loud, starts + window)
    return silent


def _duration(clip: Clip) -> float:
    """Return the video's duration in seconds, 0 where it is unknown."""
    from eri.media.container import probe_media

    if clip.video is None or not clip.video.is_file():
        return 0.0
    try:
        return probe_media(clip.video).duration or 0.0
    except MediaError:
        return 0.0
