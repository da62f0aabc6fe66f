"""Reading other people's features: what a source gives, how it is interpreted, and what is checked on every clip."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from eri.data.clips import ClipTable
from eri.features.records import FeatureSequence
from eri.features.sources import Source
from eri.media.state import State
from eri.utils.errors import DataError
from eri.utils.files import digest

Modality = Literal["visual", "audio"]
TimeUnit = Literal["s", "ms"]
Missing = Literal["refuse", "mask"]

MISSING_STATES: dict[Modality, State] = {"visual": State.NO_FACE, "audio": State.NO_AUDIO}
"""What a row without numbers becomes where such rows are masked: no face was found, or there was no audio."""

_NAMED, _LISTED = 5, 20

_FORMAT = 1
_SAMPLED = 100
_SHORTEST_STEP = 10.0
"""No features have fewer rows than one in ten seconds, or more than one hundred a second: a step between rows of ten or
more is in milliseconds, a smaller one in seconds."""


@dataclass(frozen=True, eq=False)
class RawFeatures:
    """The features of one clip as a file holds them, without times or columns where the file has none."""

    clip_id: str
    origin: str  # the file, for errors
    source: Source
    values: NDArray[np.floating]  # float64 or float32 (rows, dimension); NaN where the file has no number
    times: NDArray[np.float64] | None = None  # seconds, (rows,)
    columns: tuple[str, ...] | None = None
    lines: Sequence[int] | None = None  # number of each row in the file, for errors; None counts from 1
    unit: str = "row"  # what lines count

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

    def identities(self) -> dict[str, Source]:
        """Return what identifies the features of each clip, by id."""

    def sample_times(self, clips: int) -> list[NDArray[np.float64]] | TimeUnit | None:
        """Return the times of some clips as they are written, or their unit where it is stated; None without times."""

    def read(self, clip_ids: Collection[str], time_unit: TimeUnit) -> Iterator[RawFeatures]:
        """Read some clips one after the other; DataError where one is not as its format demands."""


def _to_sequence(raw: RawFeatures, modality: Modality, *, hop: float, missing: Missing) -> FeatureSequence:
    """Turn one clip's rows into what the store keeps; :class:`DataError` where they cannot be."""
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
                hint="Rows of a clip must be in the order of their times.",
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


@dataclass(frozen=True)
class Reading:
    """A source, and how it is read."""

    source: FeatureSource
    contents: Mapping[str, Source]  # of each clip, by id
    name: str
    modality: Modality
    hop: float  # seconds between rows where the source has no times
    missing: Missing
    data_set: str
    time_unit: TimeUnit
    guessed: bool  # the unit was found out, neither the user nor the source said it
    times: str  # the unit, or how far rows are apart
    columns: tuple[str, ...] | None
    dimension: int

    def identity(self, source: str | None = None) -> dict[str, Any]:
        """Return the identity of the features, first imported from files of the digest ``source``, or from these."""
        return {
            "extractor": "imported",
            "format": _FORMAT,
            "name": self.name,
            "modality": self.modality,
            "data_set": self.data_set,
            "times": self.times,
            "missing": self.missing,
            "dimension": self.dimension,
            "columns": None if self.columns is None else list(self.columns),
            "source": source or digest([[name, self.contents[name].sha256] for name in sorted(self.contents)]),
        }

    def sequences(self, clip_ids: Collection[str]) -> Iterator[tuple[RawFeatures, FeatureSequence]]:
        """Read some clips one after the other, as they are and as the store keeps them.

        DataError where one is not as its format demands, has other columns than the first, or was changed meanwhile.
        """
        left = set(clip_ids)
        for raw in self.source.read(clip_ids, self.time_unit) if clip_ids else ():
            self._check_columns(raw)
            self._check_unit(raw)
            if raw.source.sha256 != self.contents[raw.clip_id].sha256:
                break
            left.discard(raw.clip_id)
            yield raw, _to_sequence(raw, self.modality, hop=self.hop, missing=self.missing)
        if left:
            raise DataError(
                f"{self.source.path}: was changed while it was imported (clip {min(left)})",
                hint="Import again when it is done.",
            )

    def _check_columns(self, raw: RawFeatures) -> None:
        first, width = min(self.contents), raw.values.shape[1]
        if width != self.dimension:
            raise DataError(
                f"{raw.origin}: clip {raw.clip_id} has {width} features, clip {first} has {self.dimension}",
                hint="All clips must have the same features; import different ones under different names.",
            )
        if raw.columns != self.columns:
            pairs = list(zip(raw.columns or (), self.columns or (), strict=True))
            position = next(position for position, (here, there) in enumerate(pairs) if here != there)
            here, there = pairs[position]
            raise DataError(
                f"{raw.origin}: feature {position + 1} of clip {raw.clip_id} is '{here}', that of clip {first} is "
                f"'{there}'",
                hint="All clips must have the same features in the same order.",
            )

    def _check_unit(self, raw: RawFeatures) -> None:
        """Refuse a clip whose times are plainly in another unit than was guessed from the first clips."""
        if not self.guessed or raw.times is None:
            return
        steps = np.diff(raw.times) * (1000 if self.time_unit == "ms" else 1)
        if _likely_unit(steps) not in (None, self.time_unit):
            raise DataError(
                f"{raw.origin}: the times of clip {raw.clip_id} do not look like {self.time_unit}, as those of the "
                "first clips do",
                hint="Say what they are: --time-unit s or --time-unit ms.",
            )


def plan_reading(
    table: ClipTable,
    source: FeatureSource,
    name: str,
    modality: Modality,
    *,
    time_unit: TimeUnit | None,
    hop: float,
    missing: Missing,
) -> Reading:
    """Look at a source: which clips it has, what times are written in, and what the columns are.

    DataError where it cannot be read, holds clips that the table does not have, or the unit cannot be found out.
    """
    contents = source.identities()
    refuse_unknown(str(source.path), (clip_id for clip_id in contents if clip_id not in table), table)
    found = source.sample_times(_SAMPLED)
    unit: TimeUnit = time_unit or (found if isinstance(found, str) else _guess_unit(source.path, found or []))
    first = next(iter(source.read([min(contents)], unit)))
    return Reading(
        source=source,
        contents=contents,
        name=name,
        modality=modality,
        hop=hop,
        missing=missing,
        data_set=table.name,
        time_unit=unit,
        guessed=time_unit is None and isinstance(found, list),
        times=f"rows of {hop:g} s" if found is None else unit,
        columns=first.columns,
        dimension=first.values.shape[1],
    )


def refuse_unknown(where: str, ids: Iterable[str], table: ClipTable) -> None:
    """Raise :class:`DataError` for features of clips that the data set does not have; the first twenty are listed."""
    if ordered := sorted(ids):
        more = f" and {len(ordered) - _LISTED} more" if len(ordered) > _LISTED else ""
        raise DataError(
            f"{where}: {len(ordered)} id(s) of no clip of {table.name}: {', '.join(ordered[:_LISTED])}{more}",
            hint="Are these the features of another data set or release? Move files that are no features away.",
        )


def _guess_unit(path: Path, times: Sequence[NDArray[np.float64]]) -> TimeUnit:
    """Find out by the median step; without any step, times of 0 are the same in both units.

    Examples:
        >>> _guess_unit(Path("FAUs"), [np.array([0.0, 500.0, 1000.0])])
        'ms'
    """
    if (unit := _likely_unit(np.concatenate([np.diff(clip) for clip in times]) if times else np.empty(0))) is not None:
        return unit
    if any(np.any(clip != 0) for clip in times):
        raise DataError(
            f"{path}: no clip has two rows at different times, so it is not known whether they are seconds or "
            "milliseconds",
            hint="Say so: --time-unit s or --time-unit ms.",
        )
    return "s"


def _likely_unit(steps: NDArray[np.float64]) -> TimeUnit | None:
    steps = np.abs(steps[np.isfinite(steps) & (steps != 0)])
    if not len(steps):
        return None
    return "ms" if np.median(steps) >= _SHORTEST_STEP else "s"
