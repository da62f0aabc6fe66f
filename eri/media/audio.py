"""Sound of a clip: mono, 16 kHz, on the time axis of its pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from eri.media.opening import open_container
from eri.media.resampling import SAMPLE_RATE, SoundDecoder
from eri.media.streams import video_streams
from eri.media.timeline import clip_start, declared_end
from eri.utils.errors import NoAudioError, OversizedMediaError

SPILL_SECONDS = 600.0
"""Longer sound is kept in a temporary file instead of in memory."""
_LENGTHS_DIFFER = 0.25

__all__ = ["SAMPLE_RATE", "SPILL_SECONDS", "Sound", "read_sound", "stream_sound"]


@dataclass(frozen=True, eq=False)
class Sound:
    """The sound of a clip.

    Attributes:
        samples: Mono at 16 kHz in [-1, 1], float32 (samples,); read-only. A memory map when the clip is long.
        start: Seconds of the first sample since the clip's start, on the axis of its pictures' times.
        notes: Things worth telling, such as gaps that were filled with silence.
    """

    samples: NDArray[np.float32]
    start: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds of sound."""
        return len(self.samples) / SAMPLE_RATE


def read_sound(path: Path, *, spill_seconds: float = SPILL_SECONDS) -> Sound:
    """Read the sound of a wav, mp3 or flac file, or a video's own track.

    Times come from the file: a track that begins late gets a late ``start``, a gap in its times becomes silence, and
    what an edit list or an encoder's padding hides is left out. Memory does not grow with the clip's length: longer
    sound goes to a temporary file (in TMPDIR) that vanishes with the last reference to its samples.

    Args:
        path: Any media file with sound.
        spill_seconds: Sound longer than this is kept in a file.

    Raises:
        NoAudioError: No audio stream, or one without a sample.
        OversizedMediaError: The temporary file cannot be written.
        MediaError: The file is missing, damaged or not media; the subclass and its ``reason`` say which.
    """
    limit = int(spill_seconds * SAMPLE_RATE) * 4
    with open_container(path) as container, tempfile.SpooledTemporaryFile(max_size=max(1, limit)) as store:
        decoder = SoundDecoder(container, path)
        size = sum(_keep(store, block, path) for block in decoder.blocks())
        if decoder.start is None:
            raise NoAudioError(path, "its sound track holds no samples")
        store.seek(0)
        samples: NDArray[np.float32]
        if size > limit:
            samples = np.memmap(store, dtype=np.float32, mode="r")
        else:
            samples = np.frombuffer(store.read(), dtype=np.float32)
        end = decoder.start + len(samples) / SAMPLE_RATE
        return Sound(samples, decoder.start, (*decoder.notes, *_lengths(container, end)))


def _keep(store: tempfile.SpooledTemporaryFile[bytes], block: NDArray[np.float32], path: Path) -> int:
    try:
        return store.write(block.tobytes())
    except OSError as error:
        message = f"its sound is long and cannot be kept in {tempfile.gettempdir()}: {error.strerror}"
        raise OversizedMediaError(path, message, hint="Point TMPDIR to a folder with room.") from error


def _lengths(container: InputContainer, end: float) -> Iterator[str]:
    """Say when the sound and the pictures of a file end at different moments."""
    for stream in video_streams(container)[:1]:
        pictures = declared_end(stream, clip_start(container))
        if pictures is not None and abs(end - pictures) > _LENGTHS_DIFFER:
            longer = "longer" if end > pictures else "shorter"
            yield f"audio {longer} than video: it ends at {end:.2f} s, the pictures at {pictures:.2f} s"


def stream_sound(path: Path, block: float = 10.0) -> Iterator[NDArray[np.float32]]:
    """Yield the samples of :func:`read_sound` piece by piece, for sound of any length.

    Args:
        path: Any media file with sound.
        block: Seconds in a piece.

    Yields:
        float32 (block · 16,000,); the last piece may be shorter.

    Raises:
        NoAudioError: No audio stream, or one without a sample.
        MediaError: As :func:`read_sound`.
        ValueError: ``block`` is shorter than one sample.
    """
    length = int(block * SAMPLE_RATE)
    if length < 1:
        raise ValueError(f"a block of {block} s is shorter than one sample")
    with open_container(path) as container:
        decoder = SoundDecoder(container, path)
        waiting: list[NDArray[np.float32]] = []
        held = 0
        for samples in decoder.blocks():
            waiting.append(samples)
            held += len(samples)
            while held >= length:
                joined = np.concatenate(waiting)
                yield joined[:length]
                waiting, held = [joined[length:]], held - length
        if decoder.start is None:
            raise NoAudioError(path, "its sound track holds no samples")
        if held:
            yield np.concatenate(waiting)
