"""The clip table: what every adapter makes and everything after it reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eri.config.tasks import Task
from eri.utils.errors import DataError
from eri.utils.files import digest
from eri.utils.tables import Shown, Summary

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,127}")


@dataclass(frozen=True)
class Clip:
    """One clip of a data set.

    Attributes:
        id: Normalised id, unique in the table and safe as a file name (``00042``, ``03a01Fa``).
        split: ``train``, ``val`` or ``test``.
        video: The video file, or a folder of numbered face images; None where the data set has neither.
            Whether it exists is found out on extraction.
        audio: A separate audio file; None where the audio, if any, is the video's own track.
        labels: One value per label of the task, in the task's order, one-hot where these are classes; None where the
            split is unlabelled.
        group: The subject, where the data set names subjects.
    """

    id: str
    split: Split
    video: Path | None = None
    audio: Path | None = None
    labels: tuple[float, ...] | None = None
    group: str | None = None

    @property
    def audio_source(self) -> Path | None:
        """The file to decode audio from: the audio file, else the video file, else None."""
        return self.audio or self.video


@dataclass(frozen=True, repr=False)
class ClipTable(Shown):
    """All clips of a data set with their task, keyed by id.

    Attributes:
        name: Name of the data set, for messages and manifests.
        root: Folder that the data set lives in.
        task: What is to be predicted.
        clips: In ascending order of id.
        id_column: Name of the id column in the data set's own table; a submission repeats it.
        pooled: The splits are one of many ways to part the same clips, as folds are: packed features of all clips are
            shared by every such way, rather than packed a split at a time.
        folds: The fold of a data set's own cross-validation that holds each clip out; empty where it has none.

    Raises:
        DataError: An id that is doubled or not safe as a file name, labels of the wrong count, or labels of a
            classification that are not one-hot.
    """

    name: str
    root: Path
    task: Task
    clips: tuple[Clip, ...]
    id_column: str = "id"
    pooled: bool = False
    folds: Mapping[str, str] = field(default_factory=dict, hash=False)

    def as_table(self) -> Summary:
        """Return the first clips."""
        counts = ", ".join(f"{len(self.split(name))} {name}" for name in SPLITS if self.split(name))
        labels = (" ".join(f"{value:g}" for value in clip.labels or ()) for clip in self.clips)
        rows = ((clip.id, clip.split, clip.group, text) for clip, text in zip(self.clips, labels, strict=True))
        headers = ("clip", "split", "subject", "labels")
        return Summary(f"{self.name}: {len(self.clips):,} clips ({counts})", headers, rows, len(self.clips))

    def __post_init__(self) -> None:
        seen: set[str] = set()
        one_hot = [0.0] * (len(self.task.labels) - 1) + [1.0]
        for clip in self.clips:
            check_id(clip.id)
            if clip.id in seen:
                raise DataError(f"{self.name}: clip id '{clip.id}' is duplicated", hint="Remove one of the two rows.")
            seen.add(clip.id)
            if clip.labels is not None and len(clip.labels) != len(self.task.labels):
                counts = f"{len(clip.labels)} labels, the task '{self.task.name}' has {len(self.task.labels)}"
                raise DataError(f"{self.name}: clip '{clip.id}' has {counts}")
            if self.task.is_classification and clip.labels is not None and sorted(clip.labels) != one_hot:
                message = f"the labels of clip '{clip.id}' are not one-hot, but '{self.task.name}' asks for a class"
                raise DataError(f"{self.name}: {message}", hint="Give one class a 1 and the others a 0.")

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)

    def __getitem__(self, clip_id: str) -> Clip:
        try:
            return self._by_id[clip_id]
        except KeyError:
            raise DataError(f"{self.name}: no clip has the id '{clip_id}'") from None

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self._by_id

    @cached_property
    def _by_id(self) -> dict[str, Clip]:
        return {clip.id: clip for clip in self.clips}

    def split(self, name: Split) -> tuple[Clip, ...]:
        """Return the clips of one split, in ascending order of id."""
        return tuple(clip for clip in self.clips if clip.split == name)

    def label_matrix(self, ids: Sequence[str]) -> NDArray[np.float64]:
        """Return labels, shape (len(ids), labels); a DataError for an unknown id, or a clip without labels."""
        rows = []
        for clip_id in ids:
            labels = self[clip_id].labels
            if labels is None:
                raise DataError(f"{self.name}: clip '{clip_id}' has no labels")
            rows.append(labels)
        return np.asarray(rows, dtype=np.float64).reshape(len(rows), len(self.task.labels))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over task, ids, splits, labels and groups: two tables with the same one hold the same data."""
        rows = [[clip.id, clip.split, clip.labels, clip.group] for clip in self.clips]
        # A regression is not named: tables of runs from before there were two kinds keep their fingerprints.
        kind = [self.task.kind] if self.task.is_classification else []
        return digest([self.task.name, self.task.labels, rows, *kind])


def by_id(clips: Iterable[Clip]) -> tuple[Clip, ...]:
    """Return clips in ascending order of id."""
    return tuple(sorted(clips, key=lambda clip: clip.id))


def check_id(clip_id: str) -> str:
    """Return the id if it is safe as a file name, else raise a DataError.

    Examples:
        >>> check_id("../secret")
        Traceback (most recent call last):
        eri.utils.errors.DataError: clip id '../secret' cannot name a feature file...
    """
    if not _SAFE_ID.fullmatch(clip_id) or clip_id.endswith("."):
        raise DataError(
            f"clip id '{clip_id}' cannot name a feature file",
            hint="Use letters, digits, '.', '_' and '-', beginning with a letter or digit, at most 128.",
        )
    return clip_id
