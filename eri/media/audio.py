"""Audio of a clip: mono, 16 kHz, on the time axis of its images."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from numpy.typing import NDArray

from eri.media.streams import Damage, audio_streams, decoded, has_decoder, open_container, packets, video_streams
from eri.media.timeline import clip_start, declared_end
from eri.utils.errors import NoAudioError, OversizedMediaError, UnsupportedMediaError

SAMPLE_RATE = 16_000
"""Samples per second of all audio in the toolkit."""
SYNC_TOLERANCE = 0.04
"""Seconds that the file's times may stray from the count of its samples before audio is moved: one video frame."""
_MAX_OVERLAP = 1.0
_MAX_SILENCE = 600.0
_LENGTHS_DIFFER = 0.25
_MOVES = {
    "gap": "gaps in the audio filled with silence",
    "overlap": "overlaps in the audio cut",
    "broken": "jumps of the audio clock ignored",
}
_PIECE = 10 * SAMPLE_RATE
Samples = NDArray[np.float32]


class AudioDecoder:
    """Decodes the first audio track of an open file that has a decoder; without one, it raises a MediaError."""

    def __init__(self, container: InputContainer, path: Path) -> None:
        streams = audio_streams(container)
        if not streams:
            raise NoAudioError(path, "holds no audio track")
        if not has_decoder(streams[0]):
            message = "FFmpeg has no decoder for its audio, or its description is missing"
            raise UnsupportedMediaError(path, message, hint="Convert the audio to wav.")
        self._stream = streams[0]
        self._container, self._path = container, path
        self._zero = clip_start(container)
        self._end = None if container.duration is None else container.duration / 1_000_000
        self.start: float | None = None  # seconds of the first sample since the clip's start, once it is decoded
        self.notes: list[str] = []  # damage and gaps met on the way
        self._emitted = 0  # samples given out
        self._run_start = 0.0  # when the run of seamless audio began that is being resampled
        self._run_seconds = 0.0  # how much of that run was decoded
        self._shift = 0.0  # seconds by which a broken clock was set back
        self._skip = 0  # samples to drop because they would overlap those before
        self._moves = Counter[str]()  # how often the file's times and its samples disagreed, by kind
        self._moved = dict.fromkeys(_MOVES, 0.0)  # and by how many seconds
        self._resampler: AudioResampler | None = None
        self._kind: tuple[object, ...] = ()

    def blocks(self) -> Iterator[Samples]:
        """Yield the samples in pieces of any length, at 16 kHz, without gaps, float32 in [-1, 1].

        Where there is none, it raises a NoAudioError, or the MediaError that says why none decodes.
        """
        damage = Damage()
        for samples in self._samples(damage):
            self._emitted += len(samples)
            yield samples
        if self.start is None:
            if damage.packets or damage.cut:
                raise damage.error(self._path, "audio")
            raise NoAudioError(self._path, "its audio track holds no samples")
        self.notes += damage.notes("audio")
        self.notes += [f"{_MOVES[move]}: {times} ({self._moved[move]:.2f} s)" for move, times in self._moves.items()]

    def _samples(self, damage: Damage) -> Iterator[Samples]:
        for frame in decoded(packets(self._container, [self._stream], damage), AudioFrame, damage):
            yield from self._place(frame)
            if self._resampler is None:
                # swr leaves a float downmix unscaled: two equal channels would come out 1.41 times as loud and clip.
                options = {"rematrix_maxval": "1.0"}
                self._resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE, options=options)
            self._run_seconds += frame.samples / frame.sample_rate
            yield from self._resample(self._resampler, frame)
        yield from self._flush()

    def _count(self, move: str, seconds: float) -> None:
        self._moves[move] += 1
        self._moved[move] += abs(seconds)

    def _place(self, frame: AudioFrame) -> Iterator[Samples]:
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
            yield np.zeros(min(missing, _PIECE), dtype=np.float32)
            missing -= _PIECE

    def _is_broken(self, jump: float, time: float) -> bool:
        """Tell a clock that went wrong from a gap: it runs far back, past the file's end, or through hours."""
        past_end = self._end is not None and time > self._end + 1.0
        too_much = self._moved["gap"] + jump > _MAX_SILENCE
        return jump < -_MAX_OVERLAP or (jump > SYNC_TOLERANCE and (past_end or too_much))

    def _flush(self) -> Iterator[Samples]:
        if self._resampler is not None:
            yield from self._resample(self._resampler, None)
            self._resampler = None

    def _resample(self, resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[Samples]:
        frames: Sequence[AudioFrame | None] = resampler.resample(frame)
        for resampled in frames:
            if resampled is None:  # what a resampler with nothing to do gives for a flush
                continue
            samples = resampled.to_ndarray().reshape(-1).astype(np.float32)
            dropped = min(self._skip, len(samples))
            self._skip -= dropped
            if dropped < len(samples):
                yield np.clip(np.nan_to_num(samples[dropped:], posinf=1.0, neginf=-1.0), -1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Audio:
    """The audio of a clip: mono at 16 kHz in [-1, 1], read-only; a memory map when the clip is long."""

    samples: Samples
    start: float = 0.0  # seconds of the first sample since the clip's start, on the axis of its images' times
    notes: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        """Seconds of audio."""
        return len(self.samples) / SAMPLE_RATE


def read_audio(path: Path, *, spill_seconds: float = 600.0) -> Audio:
    """Read the audio of a wav, mp3 or flac file, or a video's own track; a MediaError says why there is none.

    Times come from the file: a track that begins late gets a late ``start``, a gap in its times becomes silence, and
    what an edit list or an encoder's padding hides is left out. Memory does not grow with the clip's length: audio
    longer than ``spill_seconds`` goes to a temporary file (in TMPDIR) that vanishes with the last reference to it.
    """
    limit = int(spill_seconds * SAMPLE_RATE) * 4
    with open_container(path) as container, tempfile.SpooledTemporaryFile(max_size=max(1, limit)) as store:
        decoder = AudioDecoder(container, path)
        size = sum(_keep(store, block, path) for block in decoder.blocks())
        store.seek(0)
        samples: Samples
        if size > limit:
            samples = np.memmap(store, dtype=np.float32, mode="r")
        else:
            samples = np.frombuffer(store.read(), dtype=np.float32)
        start = decoder.start or 0.0
        notes = _differing_lengths(container, start + len(samples) / SAMPLE_RATE)
        return Audio(samples, start, (*decoder.notes, *notes))


def _keep(store: tempfile.SpooledTemporaryFile[bytes], block: Samples, path: Path) -> int:
    try:
        return store.write(block.tobytes())
    except OSError as error:
        message = f"its audio is long and cannot be kept in {tempfile.gettempdir()}: {error.strerror}"
        raise OversizedMediaError(path, message, hint="Point TMPDIR to a folder with room.") from error


def _differing_lengths(container: InputContainer, end: float) -> Iterator[str]:
    for stream in video_streams(container)[:1]:
        images = declared_end(stream, clip_start(container))
        if images is not None and abs(end - images) > _LENGTHS_DIFFER:
            longer = "longer" if end > images else "shorter"
            yield f"audio {longer} than video: it ends at {end:.2f} s, the video at {images:.2f} s"


def stream_audio(path: Path, block: float = 10.0) -> Iterator[Samples]:
    """Yield the samples of :func:`read_audio` in pieces of ``block`` seconds, the last one shorter, for any length."""
    length = int(block * SAMPLE_RATE)
    if length < 1:
        raise ValueError(f"a block of {block} s is shorter than one sample")
    with open_container(path) as container:
        waiting: list[Samples] = []
        held = 0
        for samples in AudioDecoder(container, path).blocks():
            waiting.append(samples)
            held += len(samples)
            while held >= length:
                joined = np.concatenate(waiting)
                yield joined[:length]
                waiting, held = [joined[length:]], held - length
        if held:
            yield np.concatenate(waiting)
