"""Short clips that are made for a check: two of a face that moves and a voice, and one with neither."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from eri.data.clips import Clip
from eri.synthetic.clip_files import write_video, write_wave
from eri.synthetic.stage import HEIGHT, WIDTH, Stage
from eri.synthetic.subjects import create_subject, move, perform
from eri.synthetic.voice import speak

_FRAME_RATE = 8
_SECONDS = (1.5, 2.2)


class SampleClips(NamedTuple):
    """The clips of a check.

    Attributes:
        one: A face and a voice, 1.5 s.
        other: Another face and another voice, 2.2 s.
        empty: Grey frames over 1 s, without a face and without an audio track.
    """

    one: Clip
    other: Clip
    empty: Clip


def make_sample_clips(folder: Path) -> SampleClips:
    """Write the clips, the same ones each time.

    Args:
        folder: Where their files go.
    """
    one, other = (_performed(folder, number, seconds) for number, seconds in enumerate(_SECONDS))
    grey = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
    times = np.arange(_FRAME_RATE) / _FRAME_RATE
    write_video(folder / "empty.mp4", [grey] * len(times), times, None)
    return SampleClips(one, other, Clip("empty", "test", video=folder / "empty.mp4"))


def _performed(folder: Path, number: int, seconds: float) -> Clip:
    subject, random = create_subject(0, number), np.random.default_rng(number)
    performance = perform(random, subject.expressiveness, seconds)
    times = np.arange(int(seconds * _FRAME_RATE)) / _FRAME_RATE
    stage, motion = Stage(subject.look, random), move(performance, times)
    audio = speak(performance, subject.voice, random)
    video, wave = folder / f"{number}.mp4", folder / f"{number}.wav"
    write_video(video, (stage.draw(motion, index) for index in range(len(times))), times, audio)
    write_wave(wave, audio)
    return Clip(f"clip{number}", "test", video=video, audio=wave)
