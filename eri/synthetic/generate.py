"""The demo set on disk: some hundreds of clips in the layout of ABAW5, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from eri.config.tasks import ERI
from eri.data.clips import SPLITS, Split
from eri.synthetic.clip_files import code_digest, make_missing, prepare_folder, write_video, write_wave
from eri.synthetic.performance import Performance, move, perform
from eri.synthetic.stage import HEIGHT, WIDTH, Stage, draw_wall
from eri.synthetic.subjects import Subject, create_subject
from eri.synthetic.voice import speak
from eri.utils.files import write_text

Oddity = Literal["no-audio", "no-face", "variable-frame-rate", "rotated"]
ODDITIES: tuple[Oddity, ...] = ("no-audio", "no-face", "variable-frame-rate", "rotated")
"""What the test split holds on purpose, one clip each."""

_TABLE = "data_info.csv"
_MARK = "demo-set.json"
_NO_PART = ("__init__", "expressions")
_CLIPS_OF_A_SUBJECT = 4
_SHORTEST, _LONGEST = 2.4, 3.2


@dataclass(frozen=True)
class PlannedClip:
    """One clip before it is made."""

    id: str  # five digits
    split: Split
    subject: int  # number of the subject, who is in no other split
    oddity: Oddity | None = None  # what is unusual about it

    def files(self, folder: Path) -> tuple[Path, ...]:
        """Return the media files of the clip in a demo set."""
        video = folder / self.split / "mp4" / f"{self.id}.mp4"
        return (video,) if self.oddity == "no-audio" else (video, folder / self.split / "wav" / f"{self.id}.wav")


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
    """Make the demo set, or finish or keep the one that is there.

    Layout: ``data_info.csv`` and ``<split>/mp4/<id>.mp4`` with ``<split>/wav/<id>.wav`` beside it. The table is written
    last, so a folder with a table is whole. A demo set of another seed, size or version in the folder is replaced.

    Args:
        folder: Where the set goes; made if absent.
        train: Number of clips for training.
        val: Number of clips for validation.
        test: Number of clips whose labels are withheld, at least one for each of :data:`ODDITIES`.
        seed: The same seed gives the same frames and samples.
        workers: Processes; 0 works in this one.
        progress: Called with the number of clips that are there and the number wanted.

    Returns:
        The folder.

    Raises:
        DataError: The folder holds something else than a demo set.
        ValueError: Too few clips.
    """
    clips = plan(train, val, test, seed)
    wanted = {"seed": seed, "train": train, "val": val, "test": test, "version": code_digest(_NO_PART)}
    oddities = {clip.oddity: clip.id for clip in clips if clip.oddity}
    prepare_folder(folder, _MARK, wanted, [_TABLE, *SPLITS], {"oddities": oddities})
    make = partial(make_clip, folder=folder, seed=seed)
    made = make_missing(make, clips, lambda clip: clip.files(folder), workers, progress)
    if made or not (folder / _TABLE).is_file():
        write_text(folder / _TABLE, _table(clips, seed))
    return folder


def plan(train: int, val: int, test: int, seed: int) -> tuple[PlannedClip, ...]:
    """Assign ids, subjects and oddities to the clips, in ascending order of id.

    Raises:
        ValueError: No train or val clips, or fewer test clips than oddities.
    """
    counts: dict[Split, int] = {"train": train, "val": val, "test": test}
    if min(train, val) < 1 or test < len(ODDITIES):
        raise ValueError(f"a demo set needs train and val clips and at least {len(ODDITIES)} test clips, not {counts}")
    random = np.random.default_rng([seed, 0])
    ids = iter(random.permutation(sum(counts.values())))
    clips, subject = [], 0
    for split in SPLITS:
        for index in range(counts[split]):
            subject += index % _CLIPS_OF_A_SUBJECT == 0
            place, rest = divmod(index, counts["test"] // len(ODDITIES))
            oddity = ODDITIES[place] if split == "test" and rest == 0 and place < len(ODDITIES) else None
            clips.append(PlannedClip(f"{next(ids):05d}", split, subject, oddity))
    return tuple(sorted(clips, key=lambda clip: clip.id))


def make_clip(clip: PlannedClip, folder: Path, seed: int) -> None:
    """Draw, voice and encode one clip."""
    subject = create_subject(seed, clip.subject)
    performance, random = _perform(clip, subject, seed)
    times = _frame_times(performance.duration, subject.frame_rate, clip.oddity, random)
    audio = speak(performance, subject.voice, random)
    if clip.oddity == "no-face":
        frames = _empty_room(subject.look.wall, times)
    else:
        stage, motion = Stage(subject.look, random), move(performance, times)
        frames = (stage.draw(motion, index) for index in range(len(times)))
    video, *wav = clip.files(folder)
    write_video(video, frames, times, audio if wav else None, rotation=90 if clip.oddity == "rotated" else 0)
    for path in wav:
        write_wave(path, audio)


def _perform(clip: PlannedClip, subject: Subject, seed: int) -> tuple[Performance, np.random.Generator]:
    random = np.random.default_rng([seed, 2, int(clip.id)])
    duration = round(random.uniform(_SHORTEST, _LONGEST), 2)
    return perform(random, subject.expressiveness, duration), random


def _frame_times(duration: float, rate: int, oddity: Oddity | None, random: np.random.Generator) -> NDArray[np.float64]:
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
