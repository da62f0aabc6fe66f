"""Generated expressions on disk: moving faces in seven classes, or in two that only the order of frames tells apart.

Both are classification tasks that a manifest describes; the subjects of its splits are different ones. Of each clip the
frames show one face and little else, so that no face detector is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from eri.data.clips import SPLITS, Split
from eri.synthetic.clip_files import code_digest, make_missing, prepare_folder, write_video
from eri.synthetic.performance import Event, Performance, Reaction, move
from eri.synthetic.stage import HEIGHT, WIDTH, Stage
from eri.synthetic.subjects import Look, create_subject
from eri.utils.files import write_text

_LENGTH = (0.6, 0.95)

EXPRESSIONS: MappingProxyType[str, Reaction] = MappingProxyType(
    {
        "anger": Reaction({"AU4": 1.25, "AU7": 1.0, "AU17": 1.0, "AU18": 0.5, "pitch": 0.5}, 1, 0, _LENGTH, lean=0.06),
        "disgust": Reaction(
            {"AU9": 1.25, "AU10": 1.25, "AU4": 0.6, "AU7": 0.6, "AU25": 0.4, "yaw": 0.8}, 1, 0, _LENGTH
        ),
        "fear": Reaction(
            {"AU1": 1.0, "AU2": 0.6, "AU4": 0.5, "AU5": 1.1, "AU20": 1.25, "AU25": 1.2}, 1, 0, _LENGTH, lean=-0.06
        ),
        "happiness": Reaction({"AU12": 1.25, "AU6": 1.0, "AU7": 0.4, "AU25": 1.25}, 1, 0, _LENGTH, roll=3.0),
        "neutral": Reaction({}, 1, 0, _LENGTH),
        "sadness": Reaction(
            {"AU1": 1.0, "AU4": 0.6, "AU15": 1.25, "AU43": 0.5, "pitch": 0.8}, 1, 0, _LENGTH, lift=-4.0
        ),
        "surprise": Reaction({"AU1": 1.1, "AU2": 1.1, "AU5": 1.0, "AU26": 1.1, "pitch": -0.3}, 1, 0, _LENGTH, lift=4.0),
    }
)
"""Prototypes after Ekman & Friesen (1978), simplified; their lengths are shares of a clip."""

RISING: tuple[str, ...] = ("happiness", "surprise")
"""The expressions that rise or fall in a set of directions: those that change most of the face."""

Content = Literal["expressions", "directions"]
"""What a set shows: seven expressions that come and go, or expressions that either rise or fall."""

DIRECTIONS: tuple[str, ...] = ("rising", "falling")
"""The classes of a set of directions."""

FRAME_RATE = 12
"""Frames per second."""

MANIFEST = "expressions.yaml"
"""Name of the file that describes a set."""

_TABLE, _VIDEOS, _MARK = "clips.csv", "videos", "expression-set.json"
_NO_PART = ("__init__", "generate", "voice")
_VAL_SHARE = _TEST_SHARE = 0.2
_FEWEST_SUBJECTS = 3
_RISE = 0.25
"""The share of an event that its onset takes, see :meth:`eri.synthetic.performance.Event.envelope`."""

_FACE = 118.0
"""Side of the square around a face, in pixels of the portrait."""


@dataclass(frozen=True)
class ExpressionClip:
    """One clip before it is made."""

    id: str  # five digits, which reveal nothing
    split: Split
    subject: int  # number of the subject, who is in no other split
    label: str
    take: int  # number of the subject's clip of that class; of directions both classes of a take have the same frames
    content: Content
    shuffled: bool  # whether its frames are in no order

    def file(self, folder: Path) -> Path:
        """Return its video in the folder of the set."""
        return folder / _VIDEOS / f"{self.id}.mp4"


def generate_expression_set(
    folder: Path,
    *,
    content: Content = "expressions",
    subjects: int = 20,
    clips_per_class: int = 2,
    frames: int = 24,
    side: int = 96,
    seed: int = 0,
    shuffled: bool = False,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Make a set of expressions, or finish or keep the one that is there.

    Layout: ``expressions.yaml``, a manifest; ``clips.csv`` with the columns ``clip``, ``split``, ``subject`` and
    ``class``; ``videos/<clip>.mp4``, each frame of which is encoded by itself. Three fifths of the subjects are
    ``train``, the others ``val`` and ``test``. The manifest is written last, so a folder with one is whole. A set of
    other settings or another version in the folder is replaced.

    Args:
        folder: Where the set stands; made if absent.
        content: ``expressions``: each of :data:`EXPRESSIONS` with onset, apex and offset.
            ``directions``: an expression that rises, and the same frames in the opposite order.
        subjects: Number of people, at least 3.
        clips_per_class: Clips of each class that each of them shows.
        frames: Of a clip.
        side: Height and width of a frame in pixels, an even number.
        seed: The same seed gives the same frames.
        shuffled: Put the frames of each clip in an order drawn at random, another for each clip: a control, in which
            nothing is left of time.
        workers: Processes; 0 works in this one.
        progress: Called with the number of clips that are there and the number wanted.

    Returns:
        The manifest.

    Raises:
        DataError: The folder holds something else than such a set.
        ValueError: An unknown content, too few subjects, clips or frames, or a side that is not even.
    """
    if side < 16 or side % 2:
        raise ValueError(f"the side of a frame is an even number of at least 16 pixels, not {side}")
    if frames < 2:
        raise ValueError(f"a clip in which something moves needs two frames or more, not {frames}")
    clips = plan_expressions(content, subjects, clips_per_class, seed, shuffled=shuffled)
    asked = {"content": content, "subjects": subjects, "clips_per_class": clips_per_class, "frames": frames}
    wanted = {**asked, "side": side, "seed": seed, "shuffled": shuffled, "version": code_digest(_NO_PART)}
    prepare_folder(folder, _MARK, wanted, [MANIFEST, _TABLE, _VIDEOS])
    make = partial(make_expression_clip, folder=folder, frames=frames, side=side, seed=seed)
    made = make_missing(make, clips, lambda clip: (clip.file(folder),), workers, progress)
    if made or not (folder / MANIFEST).is_file():
        write_text(folder / _TABLE, _table(clips))
        write_text(folder / MANIFEST, _describe(content, shuffled))
    return folder / MANIFEST


def classes_of(content: Content) -> tuple[str, ...]:
    """Return the classes of a set.

    Examples:
        >>> classes_of("directions")
        ('rising', 'falling')
    """
    return tuple(EXPRESSIONS) if content == "expressions" else DIRECTIONS


def plan_expressions(
    content: Content, subjects: int, clips_per_class: int, seed: int, *, shuffled: bool = False
) -> tuple[ExpressionClip, ...]:
    """Assign ids and splits to the clips of a set, in ascending order of id.

    Raises:
        ValueError: An unknown content, fewer than three subjects, or no clips.
    """
    if content not in get_args(Content):
        raise ValueError(f"content is {' or '.join(get_args(Content))}, not {content!r}")
    if subjects < _FEWEST_SUBJECTS or clips_per_class < 1:
        raise ValueError(
            f"a set needs {_FEWEST_SUBJECTS} subjects and a clip of each class, not {subjects} and {clips_per_class}"
        )
    val, test = max(1, round(subjects * _VAL_SHARE)), max(1, round(subjects * _TEST_SHARE))
    splits = [
        split for split, count in zip(SPLITS, (subjects - val - test, val, test), strict=True) for _ in range(count)
    ]
    classes = classes_of(content)
    ids = iter(np.random.default_rng([seed, 3]).permutation(subjects * len(classes) * clips_per_class))
    clips = [
        ExpressionClip(f"{next(ids):05d}", split, subject, label, take, content, shuffled)
        for subject, split in enumerate(splits)
        for label in classes
        for take in range(clips_per_class)
    ]
    return tuple(sorted(clips, key=lambda clip: clip.id))


def make_expression_clip(clip: ExpressionClip, folder: Path, frames: int, side: int, seed: int) -> None:
    """Draw and encode one clip."""
    drawn = list(draw_expression(clip, frames, side, seed))
    if clip.label == "falling":
        drawn.reverse()
    if clip.shuffled:
        order = np.random.default_rng([seed, 5, int(clip.id)]).permutation(frames)
        drawn = [drawn[place] for place in order]
    write_video(clip.file(folder), drawn, np.arange(frames) / FRAME_RATE, None, separate=True)


def draw_expression(clip: ExpressionClip, frames: int, side: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Draw the frames of a clip as they were acted, uint8 RGB (side, side, 3): of a set of directions always rising.

    Both classes of a take draw from the same source of chance, so that their frames are the same to the last bit.
    """
    subject = create_subject(seed, clip.subject)
    place = tuple(EXPRESSIONS).index(clip.label) if clip.content == "expressions" else len(EXPRESSIONS)
    random = np.random.default_rng([seed, 4, clip.subject, place, clip.take])
    duration, times = frames / FRAME_RATE, np.arange(frames) / FRAME_RATE
    if clip.content == "expressions":
        performance = _come_and_go(random, clip.label, subject.expressiveness, duration)
    else:
        performance = _rise(random, subject.expressiveness, duration)
    look = _relight(subject.look, random)
    gain, seat = np.float32(random.uniform(0.85, 1.12)), random.uniform(-4, 4, size=2)
    stage, motion = Stage(look, random), move(performance, times, EXPRESSIONS)
    for index in range(frames):
        unsteady = seat + random.normal(0, 0.4, size=2)
        picture = np.clip(stage.draw(motion, index) * gain, 0, 255).astype(np.uint8)
        yield _cut(picture, look, unsteady, side)


def _come_and_go(random: np.random.Generator, label: str, expressiveness: float, duration: float) -> Performance:
    """Draw a clip of one expression: onset, apex and offset lie somewhere in it, with the face at rest around them."""
    length = duration * random.uniform(*EXPRESSIONS[label].length)
    start = random.uniform(0.0, duration - length)
    return _perform(random, Event(label, start, length, _strength(random, expressiveness), 0.0), duration)


def _rise(random: np.random.Generator, expressiveness: float, duration: float) -> Performance:
    """Draw a clip in which one of :data:`RISING` grows from rest to its apex, evenly over the whole clip."""
    label = RISING[int(random.integers(len(RISING)))]
    return _perform(random, Event(label, 0.0, duration / _RISE, _strength(random, expressiveness), 0.0), duration)


def _strength(random: np.random.Generator, expressiveness: float) -> float:
    return expressiveness * random.uniform(0.8, 1.15)


def _perform(random: np.random.Generator, event: Event, duration: float) -> Performance:
    blink = random.uniform(0, 2 * duration)  # every other clip has one
    blinks = (blink,) if blink < duration else ()
    return Performance(duration, (), (event,), blinks, random.uniform(0, 2 * np.pi, size=6))


def _relight(look: Look, random: np.random.Generator) -> Look:
    """Return the subject in another room and light."""
    direction, strength, warmth = random.uniform((0, 0.03, -0.03), (2 * np.pi, 0.15, 0.03))
    return replace(
        look,
        place=(0.0, 4.0),
        light=(float(direction), float(strength), float(warmth)),
        wall=int(random.integers(1 << 31)),
    )


def _cut(picture: NDArray[np.uint8], look: Look, shift: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Cut a square around the face out of a frame of the stage."""
    scale = side / (_FACE * look.size)
    # The stage seats a larger face higher, so that the shoulders reach the lower edge.
    centre_x, centre_y = WIDTH / 2 + look.place[0] + shift[0], HEIGHT - 96.0 * look.size + look.place[1] + shift[1]
    matrix = np.array(
        [[scale, 0, side / 2 - scale * centre_x], [0, scale, side / 2 - scale * centre_y]], dtype=np.float64
    )
    if scale < 0.6:  # fewer pixels than linear sampling would see
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.35 / scale), dtype=np.uint8)
    cut = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, dtype=np.uint8)


def _table(clips: tuple[ExpressionClip, ...]) -> str:
    rows = [f"{clip.id},{clip.split},s{clip.subject:03d},{clip.label}" for clip in clips]
    return "\n".join(["clip,split,subject,class", *rows]) + "\n"


def _describe(content: Content, shuffled: bool) -> str:
    description = {
        "adapter": "manifest",
        "name": f"demo-{content}{'-shuffled' if shuffled else ''}",
        "table": _TABLE,
        "columns": {"id": "clip", "split": "split", "group": "subject", "class": "class"},
        "paths": {"video": f"{_VIDEOS}/{{id}}.mp4"},
        "kind": "classification",
        "labels": list(classes_of(content)),
    }
    return yaml.safe_dump(description, sort_keys=False)
