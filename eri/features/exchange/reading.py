"""How a source of features is read: found out from its first clips, checked on every clip."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eri.data.clips import ClipTable
from eri.features.exchange.discovery import unknown_ids
from eri.features.exchange.raw import FeatureSource, Missing, Modality, RawFeatures, TimeUnit, to_sequence
from eri.features.records import FeatureSequence
from eri.features.sources import Source
from eri.utils.errors import DataError
from eri.utils.files import digest

Floats = NDArray[np.float64]

_FORMAT = 1
_SAMPLED = 100
_SHORTEST_STEP = 10.0
"""No features have fewer rows than one in ten seconds, or more than one hundred a second: a step between rows of ten or
more is in milliseconds, a smaller one in seconds."""


@dataclass(frozen=True)
class Choices:
    """What the user decides about reading features.

    Attributes:
        name: Of the features.
        modality: What they describe.
        time_unit: What times are written in; None finds out.
        hop: Seconds between rows where the source has no times.
        missing: What to do with rows in which a number is missing.
    """

    name: str
    modality: Modality
    time_unit: TimeUnit | None
    hop: float
    missing: Missing


@dataclass(frozen=True)
class Reading:
    """A source, and how it is read.

    Attributes:
        source: The source.
        contents: What identifies the features of each clip, by id.
        choices: What the user decided.
        data_set: That the features are of.
        time_unit: What times are written in.
        guessed: The unit was found out, neither the user nor the source said it.
        times: The same in words; of sources without times, how far rows are apart.
        columns: Names of the features; None where the source has none.
        dimension: Length of a row.
    """

    source: FeatureSource
    contents: Mapping[str, Source]
    choices: Choices
    data_set: str
    time_unit: TimeUnit
    guessed: bool
    times: str
    columns: tuple[str, ...] | None
    dimension: int

    def identity(self, source: str | None = None) -> dict[str, Any]:
        """Return the identity of the features.

        Args:
            source: Digest of the files that they were founded on; None is that of all these.
        """
        return {
            "extractor": "imported",
            "format": _FORMAT,
            "name": self.choices.name,
            "modality": self.choices.modality,
            "data_set": self.data_set,
            "times": self.times,
            "missing": self.choices.missing,
            "dimension": self.dimension,
            "columns": None if self.columns is None else list(self.columns),
            "source": source or digest([[name, self.contents[name].sha256] for name in sorted(self.contents)]),
        }

    def sequences(self, clip_ids: Collection[str]) -> Iterator[tuple[RawFeatures, FeatureSequence]]:
        """Read some clips one after the other, as they are and as the store keeps them.

        Raises:
            DataError: A clip's features are not as their format demands, differ in their columns from the first clip's,
                or were changed since the source was first looked at.
        """
        left = set(clip_ids)
        for raw in self.source.read(clip_ids, self.time_unit) if clip_ids else ():
            self._check_columns(raw)
            self._check_unit(raw)
            if raw.source.sha256 != self.contents[raw.clip_id].sha256:
                break
            left.discard(raw.clip_id)
            yield raw, to_sequence(raw, self.choices.modality, hop=self.choices.hop, missing=self.choices.missing)
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


def plan_reading(table: ClipTable, source: FeatureSource, choices: Choices) -> Reading:
    """Look at a source: which clips it has, what times are written in, and what the columns are.

    Raises:
        DataError: It cannot be read, holds clips that the data set does not have, or the unit cannot be found out.
    """
    contents = source.identities()
    unknown = [clip_id for clip_id in contents if clip_id not in table]
    if unknown:
        raise unknown_ids(str(source.path), unknown, table)
    found = source.sample_times(_SAMPLED)
    unit: TimeUnit = choices.time_unit or (found if isinstance(found, str) else _guess_unit(source.path, found or []))
    first = next(iter(source.read([min(contents)], unit)))
    return Reading(
        source=source,
        contents=contents,
        choices=choices,
        data_set=table.name,
        time_unit=unit,
        guessed=choices.time_unit is None and isinstance(found, list),
        times=f"rows of {choices.hop:g} s" if found is None else unit,
        columns=first.columns,
        dimension=first.values.shape[1],
    )


def _guess_unit(path: Path, times: Sequence[Floats]) -> TimeUnit:
    """Find out by the median step; without any step, times of 0 are the same in both units.

    Examples:
        >>> _guess_unit(Path("FAUs"), [np.array([0.0, 500.0, 1000.0])])
        'ms'
    """
    if (unit := _likely_unit(np.concatenate([np.diff(clip) for clip in times]) if times else np.empty(0))) is not None:
        return unit
    if any(np.any(clip != 0) for clip in times):
        raise DataError(
            f"{path}: no clip has two rows at different times, so it cannot be told whether they are seconds or "
            "milliseconds",
            hint="Say so: --time-unit s or --time-unit ms.",
        )
    return "s"


def _likely_unit(steps: Floats) -> TimeUnit | None:
    steps = np.abs(steps[np.isfinite(steps) & (steps != 0)])
    if not len(steps):
        return None
    return "ms" if np.median(steps) >= _SHORTEST_STEP else "s"
