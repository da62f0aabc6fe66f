"""Decoding a sound track to mono at 16 kHz, with every sample at the moment the file gives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from numpy.typing import NDArray

from eri.media.streams import Damage, audio_streams, decoded, has_decoder, packets
from eri.media.timeline import clip_start
from eri.utils.errors import NoAudioError, UnsupportedMediaError

SAMPLE_RATE = 16_000
"""Samples a second of all sound in the toolkit."""
SYNC_TOLERANCE = 0.04
"""Seconds that the file's times may stray from the count of its samples before sound is moved: one video frame."""
_MAX_OVERLAP = 1.0
_MAX_SILENCE = 600.0
_MOVES = {
    "gap": "gaps in the sound filled with silence",
    "overlap": "overlaps in the sound cut",
    "broken": "jumps of the sound's clock not believed",
}
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
        streams = audio_streams(container)
        if not streams:
            raise NoAudioError(path, "holds no sound track")
        if not has_decoder(streams[0]):
            message = "FFmpeg has no decoder for its sound, or its description is missing"
            raise UnsupportedMediaError(path, message, hint="Convert the sound to wav.")
        self._stream = streams[0]
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
        self._moves = Counter[str]()  # how often the file's times and its samples disagreed, by kind
        self._moved = dict.fromkeys(_MOVES, 0.0)  # and by how many seconds
        self._resampler: AudioResampler | None = None
        self._kind: tuple[object, ...] = ()

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the samples in pieces of any length, at 16 kHz, without gaps, float32 in [-1, 1].

        Raises:
            MediaError: The track has data but none of it decodes.
        """
        damage = Damage()
        source = packets(self._container, [self._stream], damage)
        for frame in decoded(source, AudioFrame, damage):
            yield from self._place(frame)
            yield from self._push(frame)
        yield from self._flush()
        if self.start is None and (damage.packets or damage.cut):
            raise damage.error(self._path, "sound")
        self.notes += damage.notes("sound")
        self.notes += [f"{_MOVES[move]}: {times} ({self._moved[move]:.2f} s)" for move, times in self._moves.items()]

    def _count(self, move: str, seconds: float) -> None:
        self._moves[move] += 1
        self._moved[move] += abs(seconds)

    def _place(self, frame: AudioFrame) -> Iterator[NDArray[np.float32]]:
        """Begin a new run where the frame does not follow the one before it seamlessly."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        expected = self._run_start + self._run_seconds
        time = expected if frame.time is None else frame.time - self._zero - self._shift
        if self.start is None:
            self.start = time = round(time * SAMPLE_RATE) / SAMPLE_RATE
        elif self._is_broken(time - expected, time):
            self._count("broken", time - expected)
            self._shift += time - expected
            time = expected
        elif abs(time - expected) > SYNC_TOLERANCE:
            self._count("gap" if time > expected else "overlap", time - expected)
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
        """Tell a clock that went wrong from a gap: it runs far back, past the file's end, or through hours."""
        past_end = self._end is not None and time > self._end + 1.0
        too_much = self._moved["gap"] + jump > _MAX_SILENCE
        return jump < -_MAX_OVERLAP or (jump > SYNC_TOLERANCE and (past_end or too_much))

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
