"""Generated expressions on disk: moving faces in seven classes, or in two that only the order of frames tells apart.

Both are classification tasks that a manifest describes; the subjects of its splits are different ones. Of each clip the
frames show one face and little else, so that no face detector is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from eri.data.clips import SPLITS
from eri.synthetic.clip_files import PlannedClip, code_digest, make_set, write_video
from eri.synthetic.stage import HEIGHT, WIDTH, Stage
from eri.synthetic.subjects import Event, Look, Performance, Reaction, create_subject, move

_LENGTH = (0.6, 0.95)  # shares of a clip

# Prototypes after Ekman & Friesen (1978), simplified.
EXPRESSIONS: dict[str, Reaction] = {
    "anger": Reaction({"AU4": 1.25, "AU7": 1.0, "AU17": 1.0, "AU18": 0.5, "pitch": 0.5}, 1, 0, _LENGTH, lean=0.06),
    "disgust": Reaction({"AU9": 1.25, "AU10": 1.25, "AU4": 0.6, "AU7": 0.6, "AU25": 0.4, "yaw": 0.8}, 1, 0, _LENGTH),
    "fear": Reaction(
        {"AU1": 1.0, "AU2": 0.6, "AU4": 0.5, "AU5": 1.1, "AU20": 1.25, "AU25": 1.2}, 1, 0, _LENGTH, lean=-0.06
    ),
    "happiness": Reaction({"AU12": 1.25, "AU6": 1.0, "AU7": 0.4, "AU25": 1.25}, 1, 0, _LENGTH, roll=3.0),
    "neutral": Reaction({}, 1, 0, _LENGTH),
    "sadness": Reaction({"AU1": 1.0, "AU4": 0.6, "AU15": 1.25, "AU43": 0.5, "pitch": 0.8}, 1, 0, _LENGTH, lift=-4.0),
    "surprise": Reaction({"AU1": 1.1, "AU2": 1.1, "AU5": 1.0, "AU26": 1.1, "pitch": -0.3}, 1, 0, _LENGTH, lift=4.0),
}

Content = Literal["expressions", "directions"]
"""What a set shows: seven expressions that come and go, or expressions that either rise or fall."""

DIRECTIONS = ("rising", "falling")
_RISING = ("happiness", "surprise")  # of a set of directions: the expressions that change most of the face
_FRAME_RATE = 12
_MANIFEST, _TABLE, _VIDEOS, _MARK = "expressions.yaml", "clips.csv", "videos", "expression-set.json"
_VAL_SHARE = _TEST_SHARE = 0.2
_FEWEST_SUBJECTS = 3
_ONSET = 0.25  # share of an event, see Event.envelope
_FACE = 118.0  # side of the square around a face, in pixels of the portrait


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
    """Make a set of expressions, or finish or keep the one that is there, and return its manifest.

    Layout: ``expressions.yaml``, a manifest; ``clips.csv`` with the columns ``clip``, ``split``, ``subject`` and
    ``class``; ``videos/<clip>.mp4``, each frame of which is encoded by itself. Three fifths of the subjects are
    ``train``, the others ``val`` and ``test``. The manifest is written last, so a folder with one is whole. A set of
    other settings or another version in the folder is replaced; the same seed gives the same frames.

    Each of at least 3 subjects shows each class ``clips_per_class`` times in ``frames`` frames of an even ``side`` in
    pixels. The content ``expressions`` is seven classes with onset, apex and offset; ``directions`` an expression that
    rises, and the same frames in the opposite order. ``shuffled`` puts the frames of each clip in a random order, so
    that nothing is left of time. 0 ``workers`` work in this process; ``progress`` gets the clips there and wanted.

    Raises DataError where the folder holds something else, ValueError for settings that make no set.
    """
    if side < 16 or side % 2:
        raise ValueError(f"the side of a frame is an even number of at least 16 pixels, not {side}")
    if frames < 2:
        raise ValueError(f"a clip in which something moves needs two frames or more, not {frames}")
    clips = plan_expressions(content, subjects, clips_per_class, seed)
    drawn: dict[str, Any] = {"frames": frames, "side": side, "seed": seed, "shuffled": shuffled}
    asked = {"content": content, "subjects": subjects, "clips_per_class": clips_per_class, **drawn}
    mark = {"set": {**asked, "version": code_digest(("__init__", "generate", "voice"))}}
    rows = [f"{clip.id},{clip.split},s{clip.subject:03d},{clip.label}" for clip in clips]
    description = {
        "adapter": "manifest",
        "name": f"demo-{content}{'-shuffled' if shuffled else ''}",
        "table": _TABLE,
        "columns": {"id": "clip", "split": "split", "group": "subject", "class": "class"},
        "paths": {"video": f"{_VIDEOS}/{{id}}.mp4"},
        "kind": "classification",
        "labels": list(classes_of(content)),
    }
    texts = {
        _TABLE: "\n".join(["clip,split,subject,class", *rows]) + "\n",
        _MANIFEST: yaml.safe_dump(description, sort_keys=False),
    }
    make = partial(_make_clip, folder=folder, **drawn)
    make_set(folder / _MARK, mark, clips, make, [_VIDEOS], texts, workers, progress)
    return folder / _MANIFEST


def classes_of(content: Content) -> tuple[str, ...]:
    """Return the classes of a set."""
    return tuple(EXPRESSIONS) if content == "expressions" else DIRECTIONS


def plan_expressions(content: Content, subjects: int, clips_per_class: int, seed: int) -> tuple[PlannedClip, ...]:
    """Assign ids and splits to the clips of a set, in ascending order of id; ValueError where there cannot be one."""
    if content not in get_args(Content):
        raise ValueError(f"content is {' or '.join(get_args(Content))}, not {content!r}")
    if subjects < _FEWEST_SUBJECTS or clips_per_class < 1:
        raise ValueError(
            f"a set needs {_FEWEST_SUBJECTS} subjects and a clip of each class, not {subjects} and {clips_per_class}"
        )
    val, test = max(1, round(subjects * _VAL_SHARE)), max(1, round(subjects * _TEST_SHARE))
    splits = [split for split, n in zip(SPLITS, (subjects - val - test, val, test), strict=True) for _ in range(n)]
    classes = classes_of(content)
    ids = iter(np.random.default_rng([seed, 3]).permutation(subjects * len(classes) * clips_per_class))
    clips = [
        PlannedClip(name := f"{next(ids):05d}", split, subject, label, (f"{_VIDEOS}/{name}.mp4",), take)
        for subject, split in enumerate(splits)
        for label in classes
        for take in range(clips_per_class)
    ]
    return tuple(sorted(clips, key=lambda clip: clip.id))


def _make_clip(clip: PlannedClip, folder: Path, frames: int, side: int, seed: int, *, shuffled: bool) -> None:
    """Draw the frames of a clip, of a set of directions always rising, and encode them in the order of its class.

    Both classes of a take draw from the same source of chance, so that their frames are the same to the last bit.
    """
    subject, times = create_subject(seed, clip.subject), np.arange(frames) / _FRAME_RATE
    place = [*EXPRESSIONS, *DIRECTIONS].index(clip.label)
    random = np.random.default_rng([seed, 4, clip.subject, min(place, len(EXPRESSIONS)), clip.take])
    performance = _perform(clip.label, random, subject.expressiveness, frames / _FRAME_RATE)
    # Another room and light than in the subject's other clips.
    direction, strength, warmth = random.uniform((0, 0.03, -0.03), (2 * np.pi, 0.15, 0.03)).tolist()
    wall = int(random.integers(1 << 31))
    look = replace(subject.look, place=(0.0, 4.0), light=(direction, strength, warmth), wall=wall)
    gain, seat = np.float32(random.uniform(0.85, 1.12)), random.uniform(-4, 4, size=2)
    stage, motion = Stage(look, random), move(performance, times, EXPRESSIONS)
    drawn: list[NDArray[np.uint8]] = []
    for index in range(frames):
        unsteady = seat + random.normal(0, 0.4, size=2)
        image = np.clip(stage.draw(motion, index) * gain, 0, 255).astype(np.uint8)
        drawn.append(_cut(image, look, unsteady, side))
    if clip.label == "falling":
        drawn.reverse()
    if shuffled:
        order = np.random.default_rng([seed, 5, int(clip.id)]).permutation(frames)
        drawn = [drawn[place] for place in order]
    write_video(folder / clip.files[0], drawn, times, None, separate=True)


def _perform(label: str, random: np.random.Generator, expressiveness: float, duration: float) -> Performance:
    """Draw when the expression shows: onset, apex and offset somewhere in the clip, with the face at rest around them.

    Of directions it grows from rest to its apex, evenly over the whole clip.
    """
    if label in DIRECTIONS:
        label = _RISING[int(random.integers(len(_RISING)))]
        start, length = 0.0, duration / _ONSET
    else:
        length = duration * random.uniform(*EXPRESSIONS[label].length)
        start = random.uniform(0.0, duration - length)
    event = Event(label, start, length, expressiveness * random.uniform(0.8, 1.15), 0.0)
    blink = random.uniform(0, 2 * duration)  # every other clip has one
    blinks = (blink,) if blink < duration else ()
    return Performance(duration, (), (event,), blinks, random.uniform(0, 2 * np.pi, size=6))


def _cut(image: NDArray[np.uint8], look: Look, shift: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Cut a square around the face out of a frame of the stage."""
    scale = side / (_FACE * look.size)
    # The stage seats a larger face higher, so that the shoulders reach the lower edge.
    centre_x, centre_y = WIDTH / 2 + look.place[0] + shift[0], HEIGHT - 96.0 * look.size + look.place[1] + shift[1]
    matrix = np.array([[scale, 0, side / 2 - scale * centre_x], [0, scale, side / 2 - scale * centre_y]])
    if scale < 0.6:  # fewer pixels than linear sampling would see
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.35 / scale), dtype=np.uint8)
    cut = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, dtype=np.uint8)
