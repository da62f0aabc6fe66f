"""Decoding a sound track to mono at 16 kHz, with every sample at the moment the file gives it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from eri.errors import NoAudioError, TruncatedMediaError, UnsupportedMediaError
from eri.media.container import DAMAGE, MAX_DAMAGED, packets
from eri.media.timeline import clip_start

SAMPLE_RATE = 16_000
"""Samples a second of all sound in the toolkit."""
SYNC_TOLERANCE = 0.04
"""Seconds that the file's times may stray from the count of its samples before sound is moved: one video frame."""
_MAX_OVERLAP = 1.0
_MAX_GAP = 60.0
_PIECE = 10 * SAMPLE_RATE


class SoundDecoder:
    """Decodes the first sound track of an open file that has a decoder.

    Attributes:
        start: Seconds of the first sample since the clip's start; None until one was decoded.
        notes: Damage and gaps met on the way.

    Raises:
        NoAudioError: There is no sound track.
        UnsupportedMediaError: There is one, but no decoder for it.
    """

    def __init__(self, container: InputContainer, path: Path) -> None:
        if not container.streams.audio:
            raise NoAudioError(path, "holds no sound track")
        self._stream = _decodable(container, path)
        self._container, self._path = container, path
        self._zero = clip_start(container)
        self._end = None if container.duration is None else container.duration / 1_000_000
        self.start: float | None = None
        self.notes: list[str] = []
        self._emitted = 0  # samples given out
        self._run_start = 0.0  # when the run of seamless sound began that is being resampled
        self._run_seconds = 0.0  # how much of that run was decoded
        self._shift = 0.0  # seconds by which a broken clock was set back
        self._skip = 0  # samples to drop because they would overlap those before
        self._resampler: AudioResampler | None = None
        self._kind: tuple[object, ...] = ()

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the samples in pieces of any length, at 16 kHz, without gaps, float32 in [-1, 1].

        Raises:
            TruncatedMediaError: The track has data but none of it decodes.
        """
        problems: list[str] = []
        for frame in self._frames(problems):
            yield from self._place(frame)
            yield from self._push(frame)
        yield from self._flush()
        if problems and self.start is None:
            raise TruncatedMediaError(self._path, f"none of its sound decodes: {problems[0]}")
        self.notes += problems

    def _frames(self, problems: list[str]) -> Iterator[AudioFrame]:
        damaged = in_a_row = 0
        for packet in packets(self._container, [self._stream], problems):
            try:
                frames = packet.decode()
            except DAMAGE:
                damaged, in_a_row = damaged + 1, in_a_row + 1
                if in_a_row >= MAX_DAMAGED:
                    break
                continue
            for frame in frames:
                in_a_row = 0
                if isinstance(frame, AudioFrame) and frame.samples:
                    yield frame
        if damaged:
            problems.append(f"{damaged} damaged packets of sound were left out")

    def _place(self, frame: AudioFrame) -> Iterator[NDArray[np.float32]]:
        """Begin a new run where the frame does not follow the one before it seamlessly."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        expected = self._run_start + self._run_seconds
        time = expected if frame.time is None else frame.time - self._zero - self._shift
        if self.start is None:
            self.start = self._run_start = time
        elif self._is_broken(time - expected, time):
            self.notes.append(
                f"the sound's clock jumps by {time - expected:+.2f} s at {expected:.2f} s; taken as seamless"
            )
            self._shift += time - expected
            time = expected
        elif abs(time - expected) > SYNC_TOLERANCE:
            what = "gap of silence" if time > expected else "overlap cut"
            self.notes.append(f"{what}: {abs(time - expected):.2f} s of sound at {expected:.2f} s")
        elif kind == self._kind:
            return
        yield from self._flush()
        self._kind, self._run_start, self._run_seconds = kind, time, 0.0
        missing = round((time - self.start) * SAMPLE_RATE) - self._emitted
        self._skip = max(0, -missing)
        while missing > 0:
            yield self._give(np.zeros(min(missing, _PIECE), dtype=np.float32))
            missing -= _PIECE

    def _is_broken(self, jump: float, time: float) -> bool:
        latest = _MAX_GAP + time - jump if self._end is None else self._end + 1.0
        return jump < -_MAX_OVERLAP or (jump > SYNC_TOLERANCE and time > latest)

    def _push(self, frame: AudioFrame) -> Iterator[NDArray[np.float32]]:
        if self._resampler is None:
            # swr leaves a float downmix unscaled: two equal channels would come out 1.41 times as loud and clip.
            self._resampler = AudioResampler(
                format="flt", layout="mono", rate=SAMPLE_RATE, options={"rematrix_maxval": "1.0"}
            )
        self._run_seconds += frame.samples / frame.sample_rate
        yield from self._take(self._resampler.resample(frame))

    def _flush(self) -> Iterator[NDArray[np.float32]]:
        if self._resampler is not None:
            resampler, self._resampler = self._resampler, None
            yield from self._take(resampler.resample(None))

    def _take(self, frames: Sequence[AudioFrame | None]) -> Iterator[NDArray[np.float32]]:
        for frame in frames:
            if frame is None:  # what a resampler with nothing to do gives for a flush
                continue
            samples = frame.to_ndarray().reshape(-1).astype(np.float32)
            dropped = min(self._skip, len(samples))
            self._skip -= dropped
            if dropped < len(samples):
                yield self._give(np.clip(np.nan_to_num(samples[dropped:], posinf=1.0, neginf=-1.0), -1.0, 1.0))

    def _give(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        self._emitted += len(samples)
        return samples


def _decodable(container: InputContainer, path: Path) -> AudioStream:
    """Return the first sound track that FFmpeg has a decoder for."""
    for stream in container.streams.audio:
        if stream.codec_context is not None:
            return stream
    raise UnsupportedMediaError(
        path, "FFmpeg has no decoder for its sound, or its description is missing", hint="Convert the sound to wav."
    )
