"""What an extractor is: a part that prepares one clip in any process, and a part that embeds prepared clips.

Nothing here imports torch, so that worker processes that only decode start quickly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from eri.data.clips import Clip
from eri.features.sources import Source
from eri.media.state import State


@dataclass(frozen=True, eq=False)
class Prepared:
    """One clip, decoded and cut to model inputs.

    Attributes:
        clip_id: The clip's id.
        inputs: What the model sees, of valid rows only. Images: uint8 (valid rows, side, side, 3) RGB. Audio:
            float32 (samples,) mono at 16 kHz, possibly a read-only memory map when the clip is long.
        times: Seconds of every row of the time grid, ascending, float64 (rows,).
        states: A :class:`State` for every row, uint8 (rows,).
        notes: Warnings about the clip, such as ``audio shorter than video``.
        encoded: The inputs are JPEG files, a row of bytes each, uint8 (valid rows, bytes of the longest), filled up
            with zeros: what is stored is the images themselves.
        face_seconds: What finding and cropping faces took, of the time that preparing the clip took.
        source: What the clip was decoded from; a preparer leaves this and the following to extraction.
        seconds: What preparing the clip took.
        cpu_seconds: Processor time that it took, where a worker process did it.
    """

    clip_id: str
    inputs: NDArray[Any]
    times: NDArray[np.float64]
    states: NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    encoded: bool = False
    face_seconds: float = 0.0
    source: Source = field(default_factory=Source)
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass(frozen=True, eq=False, kw_only=True)
class _Origin:
    """What a feature file says beside its arrays; empty until the features are written."""

    clip_id: str = ""
    identity: str = ""  # digest of the extractor's identity, 64 hex digits
    source: Source = field(default_factory=Source)
    notes: tuple[str, ...] = ()  # warnings about the clip
    version: str = ""  # of eri, which wrote the file
    checksum: str = ""


@dataclass(frozen=True, eq=False)
class FeatureSequence(_Origin):
    """The features of one clip on an unbroken time grid, and what their file says of them.

    Attributes:
        embeddings: float32 (rows, dimension); rows that are not valid are zero.
        times: Seconds, ascending, float64 (rows,).
        states: A :class:`State` for every row, uint8 (rows,).
    """

    embeddings: NDArray[np.float32]
    times: NDArray[np.float64]
    states: NDArray[np.uint8]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True where the row is valid, (rows,)."""
        return np.equal(self.states, State.VALID)


@dataclass(frozen=True, eq=False)
class CropSequence(_Origin):
    """The face crops of one clip on an unbroken time grid, as JPEG files one after the other.

    Attributes:
        codes: uint8 (bytes of all files,).
        offsets: Where each valid row's file begins, and the end of the last, int64 (valid rows + 1,).
        times: Seconds, ascending, float64 (rows,).
        states: A :class:`State` for every row, uint8 (rows,).
    """

    codes: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    times: NDArray[np.float64]
    states: NDArray[np.uint8]


class Preparer(Protocol):
    """The part that opens media. It is sent to worker processes, so it must be small and picklable."""

    def prepare(self, clip: Clip) -> Prepared:
        """Decode one clip.

        A clip without a face or without audio is not an error: its rows carry that state.

        Raises:
            MediaError: The clip's file is missing, damaged or not media.
        """


class Extractor(Protocol):
    """A loaded model with its preprocessing.

    Attributes:
        name: Short name for folders and tables, such as ``resnet50``.
        modality: What the features describe.
        dimension: Length of one embedding.
    """

    name: str
    modality: Literal["visual", "audio"]
    dimension: int

    @property
    def preparer(self) -> Preparer:
        """The part that runs in worker processes."""

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers, as JSON values.

        Model, hash of the weights, preprocessing, sampling, face settings, versions of the libraries that matter;
        never device, batch size or workers.
        """

    def embed(self, prepared: Sequence[Prepared]) -> list[NDArray[Any]]:
        """Embed clips together; each result is float32 (valid rows of that clip, dimension), or its encoded inputs."""


def assemble(prepared: Prepared, embeddings: NDArray[np.float32]) -> FeatureSequence:
    """Put the embeddings of a clip's valid rows, float32 (valid rows, dimension), back on its time grid.

    ValueError where their number is not that of the valid rows, or one is not finite.
    """
    valid = prepared.states == State.VALID
    if embeddings.shape[0] != int(valid.sum()):
        raise ValueError(f"clip {prepared.clip_id}: {embeddings.shape[0]} embeddings for {int(valid.sum())} valid rows")
    if not np.isfinite(embeddings).all():
        raise ValueError(f"clip {prepared.clip_id}: an embedding is not finite")
    rows = np.zeros((len(valid), embeddings.shape[1]), dtype=np.float32)
    rows[valid] = embeddings
    return FeatureSequence(rows, prepared.times, prepared.states)


def join_codes(prepared: Prepared, rows: NDArray[Any]) -> CropSequence:
    """Join a clip's encoded crops, uint8 (valid rows, bytes), without the zeros at their ends: no JPEG ends in one."""
    ends = np.array([np.flatnonzero(row)[-1] + 1 for row in rows], dtype=np.int64)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(ends)])
    kept = np.arange(rows.shape[1]) < ends[:, None]
    codes = np.asarray(rows)[kept].astype(np.uint8, copy=False)
    return CropSequence(codes, offsets, prepared.times, prepared.states)
