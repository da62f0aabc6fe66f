"""How long so many clips take, what bounds it, and what to buy: arithmetic on measured rates.

Stages run beside each other, so a clip takes as long as the slowest of them: the workers (decoding and faces, shared by
as many as there are), the model, writing, or all cores together where the stages want more of them than there are. What
was measured is never quite that ideal; the ratio of the two is kept as a factor, so that a plan for the measured
setting repeats the measurement, and a plan for another number of workers departs from it by the ideal's change alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from eri.errors import ConfigError
from eri.extraction.rates import StageRates

Bound = Literal["decode", "faces", "model", "write", "cores"]

_HOUR = 3600.0


@dataclass(frozen=True)
class ExtractorPlan:
    """What one extractor takes.

    Attributes:
        measured: What it is planned from.
        workers: Processes that decode and find faces, on each machine.
        hours: Wall time.
        bound: What the rest waits for.
        stage_hours: Hours of work of each stage, over all machines.
        advice: What would make it faster, and by how much.
        feature_bytes: What the features take.
        media_bytes: What is read.
    """

    measured: StageRates
    workers: int
    hours: float
    bound: Bound
    stage_hours: dict[str, float]
    advice: tuple[str, ...]
    feature_bytes: float
    media_bytes: float


@dataclass(frozen=True)
class Plan:
    """What an extraction takes: its extractors run one after the other.

    Attributes:
        clips: How many.
        machines: How many do it, each with its shard.
        extractors: One plan an extractor.
        price: Of a machine for an hour; None where none is given.
    """

    clips: int
    machines: int
    extractors: tuple[ExtractorPlan, ...]
    price: float | None = None

    @property
    def hours(self) -> float:
        """Wall time."""
        return sum(part.hours for part in self.extractors)

    @property
    def cost(self) -> float | None:
        """Of all machines, in the currency of the price; None without a price."""
        return None if self.price is None else self.price * self.machines * self.hours

    @property
    def feature_bytes(self) -> float:
        """What all features take."""
        return sum(part.feature_bytes for part in self.extractors)

    @property
    def media_bytes(self) -> float:
        """What the media take, where all extractors read the same."""
        return max((part.media_bytes for part in self.extractors), default=0.0)


@dataclass(frozen=True)
class _Clip:
    """Seconds of one clip."""

    decode: float
    faces: float
    model: float
    write: float
    busy: float
    cores: int

    def seconds(self, workers: int) -> dict[Bound, float]:
        """Return how long each stage makes a clip take that the others wait for."""
        longer: Bound = "decode" if self.decode >= self.faces else "faces"
        preparing = (self.decode + self.faces) / max(1, workers)
        return {longer: preparing, "model": self.model, "write": self.write, "cores": self.busy / self.cores}

    def bound(self, workers: int) -> Bound:
        """Return the slowest of them."""
        seconds = self.seconds(workers)
        return max(seconds, key=lambda stage: seconds[stage])

    def slowest(self, workers: int) -> float:
        """Return what it takes."""
        return max(self.seconds(workers).values())


def plan_extraction(
    rates: Sequence[StageRates],
    clips: int,
    *,
    seconds: float | None = None,
    workers: int | None = None,
    machines: int = 1,
    price: float | None = None,
) -> Plan:
    """Plan an extraction from what fewer clips took.

    Args:
        rates: What was measured, one for each extractor.
        clips: How many clips there are.
        seconds: Mean length of a clip; None is that of the clips measured. Decoding goes by it, of sound everything.
        workers: Processes that decode on each machine; None is as measured.
        machines: How many machines like the one measured do it, each with its shard.
        price: Of a machine for an hour.

    Raises:
        ConfigError: A number that cannot be, or nothing measured.

    Examples:
        >>> rates = StageRates("resnet50", "visual", "a processor", 8, "a GPU", 2, 32, False, "pyav", "1", clips=100,
        ...     runs=1, seconds=102.0, startup=2.0, decode=170.0, faces=20.0, model=40.0, write=1.0, busy=230.0,
        ...     media_seconds=1000.0, media_bytes=10**8, feature_bytes=26 * 10**6)
        >>> plan = plan_extraction([rates], 36_000, price=2.0)
        >>> round(plan.hours, 2), round(plan.cost, 2), plan.extractors[0].bound
        (10.0, 20.0, 'decode')
        >>> plan.extractors[0].advice[0]
        'with 5 workers the model bounds: 4.2 hours'
    """
    if not rates:
        raise ConfigError("nothing was measured that a plan could be made from")
    if clips < 1 or machines < 1 or (workers is not None and workers < 0):
        raise ConfigError("a plan needs at least one clip and one machine, and no less than 0 workers")
    if (seconds is not None and not 0 < seconds < math.inf) or (price is not None and not 0 <= price < math.inf):
        raise ConfigError("the length of a clip must be more than 0 seconds, and a price not less than 0")
    parts = tuple(
        _plan_one(one, clips, seconds, one.workers if workers is None else workers, machines) for one in rates
    )
    return Plan(clips, machines, parts, price)


def _plan_one(rates: StageRates, clips: int, seconds: float | None, workers: int, machines: int) -> ExtractorPlan:
    as_measured, planned = _clip(rates, None), _clip(rates, seconds)
    ideal = as_measured.slowest(rates.workers)
    steady = max(rates.seconds - rates.startup, 0.0) / rates.clips
    # No pace is better than the ideal: a few clips seem so when those prepared during the start are done after it.
    factor = max(1.0, steady / ideal) if ideal > 0 else 1.0

    def hours(count: int) -> float:
        return (rates.startup / rates.runs + clips / machines * factor * planned.slowest(count)) / _HOUR

    length = _length(rates, seconds)
    growth = length if rates.modality == "audio" else 1.0
    per_stage = {"decode": planned.decode, "faces": planned.faces, "model": planned.model, "write": planned.write}
    return ExtractorPlan(
        measured=rates,
        workers=workers,
        hours=hours(workers),
        bound=planned.bound(workers),
        stage_hours={stage: clips * spent / _HOUR for stage, spent in per_stage.items()},
        advice=_advise(rates, planned, workers, hours),
        feature_bytes=clips * growth * rates.feature_bytes / rates.clips,
        media_bytes=clips * length * rates.media_bytes / rates.clips,
    )


def _length(rates: StageRates, seconds: float | None) -> float:
    """Return how often longer the clips to be planned are than those measured."""
    mean = rates.media_seconds / rates.clips
    return 1.0 if seconds is None or mean <= 0 else seconds / mean


def _clip(rates: StageRates, seconds: float | None) -> _Clip:
    """Return what a clip takes. Frames of a video are a fixed number, so its length matters to decoding alone."""
    length = _length(rates, seconds)
    growth = length if rates.modality == "audio" else 1.0
    decode, faces, model, write = (
        part / rates.clips
        for part in (rates.decode * length, rates.faces * growth, rates.model * growth, rates.write * growth)
    )
    preparing = rates.decode + rates.faces
    longer = (decode + faces) * rates.clips / preparing if preparing > 0 else 1.0
    # Processor time is known as a whole: it grows as the work it was measured with.
    busy = rates.busy / rates.clips * (growth if rates.modality == "audio" else longer)
    return _Clip(decode, faces, model, write, busy, rates.cores)


def _advise(rates: StageRates, clip: _Clip, workers: int, hours: Callable[[int], float]) -> tuple[str, ...]:
    """Return what would make it faster, the cheapest first."""
    bound, advice = clip.bound(workers), []
    if bound in ("decode", "faces"):
        rest = max(clip.model, clip.write, clip.busy / clip.cores)
        enough = max(1, math.ceil((clip.decode + clip.faces) / rest)) if rest > 0 else clip.cores
        enough = max(workers + 1, min(enough, clip.cores))
        there = clip.bound(enough)
        if enough <= clip.cores:
            what = "the cores bound" if there == "cores" else f"{_NAMES[there]} bounds"
            advice.append(f"with {enough} workers {what}: {hours(enough):.1f} hours")
        advice.append("cores: workers share them")
    elif bound == "model" and rates.on_gpu:
        advice.append("another GPU: a process for each, every one with its --shard, into one feature folder")
    elif bound in ("model", "cores"):
        advice.append(
            "a GPU takes the model off the cores; measure it there first" if not rates.on_gpu else "more cores"
        )
    else:
        advice.append("a faster disk under --features")
    advice.append("machines: n of them take an n-th of the time at the same price, each with its --shard")
    return tuple(advice)


_NAMES: MappingProxyType[str, str] = MappingProxyType(
    {"decode": "decoding", "faces": "finding faces", "model": "the model", "write": "writing", "cores": "the cores"}
)
"""What bounds, in words."""
