"""The demo set on disk: some hundreds of clips in the layout of ABAW5, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from eri.config.tasks import ERI
from eri.data.clips import SPLITS, Split
from eri.synthetic.clip_files import PlannedClip, code_digest, make_set, write_video, write_wave
from eri.synthetic.stage import HEIGHT, WIDTH, Stage, draw_wall
from eri.synthetic.subjects import Performance, Subject, create_subject, move, perform
from eri.synthetic.voice import speak

ODDITIES = ("no-audio", "no-face", "variable-frame-rate", "rotated")
"""What the test split holds on purpose, one clip each."""

_TABLE = "data_info.csv"
_CLIPS_OF_A_SUBJECT = 4
_SHORTEST, _LONGEST = 2.4, 3.2


def generate_demo_set(
    folder: Path,
    *,
    train: int = 320,
    val: int = 96,
    test: int = 24,
    seed: int = 0,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Make the demo set, or finish or keep the one that is there, and return its folder.

    Layout: ``data_info.csv`` and ``<split>/mp4/<id>.mp4`` with ``<split>/wav/<id>.wav`` beside it. The table is written
    last, so a folder with a table is whole. A demo set of another seed, size or version in the folder is replaced.
    The sizes are numbers of clips; labels of ``test`` clips are withheld, and there is at least one for each of
    :data:`ODDITIES`. ``progress`` is called with the number of clips that are there and the number wanted.

    Raises DataError where the folder holds something else than a demo set, ValueError for too few clips.
    """
    clips = _plan(train, val, test, seed)
    version = code_digest(("__init__", "expressions"))
    wanted = {"seed": seed, "train": train, "val": val, "test": test, "version": version}
    mark = {"set": wanted, "oddities": {clip.label: clip.id for clip in clips if clip.label}}
    make, texts = partial(_make_clip, folder=folder, seed=seed), {_TABLE: _table(clips, seed)}
    make_set(folder / "demo-set.json", mark, clips, make, SPLITS, texts, workers, progress)
    return folder


def _plan(train: int, val: int, test: int, seed: int) -> tuple[PlannedClip, ...]:
    """Assign ids, subjects and oddities to the clips, in ascending order of id."""
    counts: dict[Split, int] = {"train": train, "val": val, "test": test}
    if min(train, val) < 1 or test < len(ODDITIES):
        raise ValueError(f"a demo set needs train and val clips and at least {len(ODDITIES)} test clips, not {counts}")
    ids = iter(np.random.default_rng([seed, 0]).permutation(sum(counts.values())))
    clips, subject = [], 0
    for split in SPLITS:
        for index in range(counts[split]):
            subject += index % _CLIPS_OF_A_SUBJECT == 0
            place, rest = divmod(index, test // len(ODDITIES))
            oddity = ODDITIES[place] if split == "test" and rest == 0 and place < len(ODDITIES) else ""
            name = f"{next(ids):05d}"
            files = (f"{split}/mp4/{name}.mp4", f"{split}/wav/{name}.wav")[: 1 if oddity == "no-audio" else 2]
            clips.append(PlannedClip(name, split, subject, oddity, files))
    return tuple(sorted(clips, key=lambda clip: clip.id))


def _make_clip(clip: PlannedClip, folder: Path, seed: int) -> None:
    subject = create_subject(seed, clip.subject)
    performance, random = _perform(clip, subject, seed)
    times = _frame_times(performance.duration, subject.frame_rate, clip.label, random)
    audio = speak(performance, subject.voice, random)
    if clip.label == "no-face":
        frames = _empty_room(subject.look.wall, times)
    else:
        stage, motion = Stage(subject.look, random), move(performance, times)
        frames = (stage.draw(motion, index) for index in range(len(times)))
    video, *wav = (folder / name for name in clip.files)
    write_video(video, frames, times, audio if wav else None, rotation=90 if clip.label == "rotated" else 0)
    for path in wav:
        write_wave(path, audio)


def _perform(clip: PlannedClip, subject: Subject, seed: int) -> tuple[Performance, np.random.Generator]:
    random = np.random.default_rng([seed, 2, int(clip.id)])
    duration = round(random.uniform(_SHORTEST, _LONGEST), 2)
    return perform(random, subject.expressiveness, duration), random


def _frame_times(duration: float, rate: int, oddity: str, random: np.random.Generator) -> NDArray[np.float64]:
    if oddity != "variable-frame-rate":
        return np.arange(int(duration * rate)) / rate
    # A phone that drops to a third of its rate for a while, and whose clock is never quite even.
    steps = np.where(np.arange(4 * rate) % (2 * rate) < rate, 1.0, 3.0) / rate * random.uniform(0.8, 1.2, size=4 * rate)
    times = np.concatenate([[0.0], np.cumsum(steps)])
    return times[times < duration]


def _empty_room(wall: int, times: NDArray[np.float64]) -> Iterator[NDArray[np.uint8]]:
    """A camera that pans over a room with nobody in it."""
    room = np.clip(cv2.resize(draw_wall(wall), (WIDTH * 2, HEIGHT)), 0, 255).astype(np.uint8)
    for time in times:
        left = round(WIDTH * 0.5 * (1 + np.sin(time)))
        yield room[:, left : left + WIDTH]


def _table(clips: tuple[PlannedClip, ...], seed: int) -> str:
    lines = [",".join(["File_ID", "Split", *ERI.labels, "Age", "Country"])]
    for clip in clips:
        subject = create_subject(seed, clip.subject)
        performance, _ = _perform(clip, subject, seed)
        labels = [""] * len(ERI.labels) if clip.split == "test" else [f"{value:g}" for value in performance.labels]
        lines.append(",".join([f"[{clip.id}]", clip.split.capitalize(), *labels, f"{subject.age:g}", subject.country]))
    return "\n".join(lines) + "\n"
