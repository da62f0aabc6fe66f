"""What every reader of other people's features gives: one clip's rows, checked; and what a reader is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from eri.features.records import FeatureSequence
from eri.features.sources import Source
from eri.media.state import State
from eri.utils.errors import DataError

Modality = Literal["visual", "audio"]
TimeUnit = Literal["s", "ms"]
Missing = Literal["refuse", "mask"]

MISSING_STATES: dict[Modality, State] = {"visual": State.NO_FACE, "audio": State.NO_AUDIO}
"""What a row without numbers becomes where such rows are masked: no face was found, or there was no sound."""

_NAMED = 5


@dataclass(frozen=True, eq=False)
class RawFeatures:
    """The features of one clip as a file holds them.

    Attributes:
        clip_id: The clip's id.
        origin: The file, for errors.
        source: The file's identity.
        values: float64 or float32 (rows, dimension); NaN where the file has no number.
        times: Seconds, float64 (rows,); None where the file has none.
        columns: Names of the features; None where the file has none.
        lines: Number of each row in the file, for errors; None where they are counted from 1.
        unit: What ``lines`` count.
    """

    clip_id: str
    origin: str
    source: Source
    values: NDArray[np.floating]
    times: NDArray[np.float64] | None = None
    columns: tuple[str, ...] | None = None
    lines: Sequence[int] | None = None
    unit: str = field(default="row")

    def place(self, row: int) -> str:
        """Return where a row stands, for an error."""
        return f"{self.origin}, {self.unit} {row + 1 if self.lines is None else self.lines[row]}"

    def column(self, position: int) -> str:
        """Return what a feature is called, for an error."""
        return str(position) if self.columns is None else self.columns[position]


class FeatureSource(Protocol):
    """A folder or table that holds the features of many clips."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    def identities(self) -> dict[str, Source]:
        """Return what identifies the features of each clip, by id.

        Raises:
            DataError: Something cannot be read, or is not as its format demands.
        """
        ...

    def sample_times(self, clips: int) -> list[NDArray[np.float64]] | TimeUnit | None:
        """Return the times of some clips as they are written, to find out their unit.

        Args:
            clips: How many clips to look at.

        Returns:
            One array a clip; or the unit itself, where the source states it; None where there are no times.
        """
        ...

    def read(self, clip_ids: Collection[str], time_unit: TimeUnit) -> Iterator[RawFeatures]:
        """Read some clips one after the other.

        Args:
            clip_ids: Which.
            time_unit: What times are written in.

        Raises:
            DataError: A clip's features are not as their format demands.
        """
        ...


def to_sequence(raw: RawFeatures, modality: Modality, *, hop: float, missing: Missing) -> FeatureSequence:
    """Turn one clip's rows into what the store keeps.

    Args:
        raw: The rows.
        modality: Decides the state of rows that are masked.
        hop: Seconds between rows where the file has no times; the first row is at 0.
        missing: What to do with rows in which a number is missing: refuse the clip, or mask the row.

    Raises:
        DataError: There is no row, a number is missing, infinite or beyond float32, or times do not ascend.
    """
    rows = len(raw.values)
    if rows == 0:
        raise DataError(f"{raw.origin}: clip {raw.clip_id} has no rows", hint="Leave the clip out; that is normal.")
    times = np.arange(rows, dtype=np.float64) * hop if raw.times is None else raw.times
    _check_times(raw, times)
    absent = np.isnan(raw.values).any(axis=1)
    if missing == "refuse" and absent.any():
        raise _missing_numbers(raw, absent)
    with np.errstate(over="ignore"):
        embeddings = raw.values.astype(np.float32)
    embeddings[absent] = 0
    if not np.isfinite(embeddings).all():
        row, position = np.argwhere(~np.isfinite(embeddings))[0]
        raise DataError(
            f"{raw.place(int(row))}: {raw.column(int(position))} is {raw.values[row, position]:g}, beyond what a "
            "32-bit number holds",
            hint="Correct the features, or leave the clip out.",
        )
    states = np.where(absent, MISSING_STATES[modality], State.VALID).astype(np.uint8)
    return FeatureSequence(embeddings, times, states)


def _check_times(raw: RawFeatures, times: NDArray[np.float64]) -> None:
    for wrong, what in ((~np.isfinite(times), "is no number"), (np.diff(times, prepend=-np.inf) < 0, "goes back")):
        if wrong.any():
            raise DataError(
                f"{raw.place(int(np.argmax(wrong)))}: the time of clip {raw.clip_id} {what}",
                hint="Rows of a clip stand in the order of their times.",
            )


def _missing_numbers(raw: RawFeatures, absent: NDArray[np.bool_]) -> DataError:
    row = int(np.argmax(absent))
    names = [raw.column(int(position)) for position in np.flatnonzero(np.isnan(raw.values[row]))]
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return DataError(
        f"{raw.place(row)}: {shown} {'has' if len(names) == 1 else 'have'} no number (clip {raw.clip_id}, "
        f"{int(absent.sum())} of its {len(absent)} rows)",
        hint="Leave the clip out, or mask such rows with --missing mask: models then pass them over.",
    )
