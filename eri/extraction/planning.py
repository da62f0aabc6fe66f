"""What extracting so many clips takes in time, storage and money, from measured rates."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from eri.config import ExtractorConfig, ImportedConfig, Runtime
from eri.data.clips import ClipTable
from eri.extraction.extractors.registry import create_extractor
from eri.extraction.rates import NAME, StageRates, read_rates
from eri.extraction.report import ExtractionEvent
from eri.extraction.run import extract
from eri.features.records import Extractor
from eri.features.store import find_folder
from eri.utils.errors import ConfigError, DataError, StoreError

Bound = Literal["decode", "faces", "model", "write", "cores"]

_HOUR = 3600.0


@dataclass(frozen=True)
class ExtractorPlan:
    """What one extractor takes."""

    measured: StageRates  # what it is planned from
    workers: int  # processes that decode and find faces, on each machine
    hours: float  # wall time
    bound: Bound  # what the rest waits for
    stage_hours: dict[str, float]  # hours of work of each stage, over all machines
    advice: tuple[str, ...]  # what would make it faster, and by how much
    feature_bytes: float
    media_bytes: float


@dataclass(frozen=True)
class Plan:
    """What an extraction takes: its extractors run one after the other."""

    clips: int
    machines: int  # how many do it, each with its shard
    extractors: tuple[ExtractorPlan, ...]
    price: float | None = None  # of a machine for an hour
    origin: str = ""  # where the rates are from, in words

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
    """Seconds of one clip, on a machine of so many cores."""

    decode: float
    faces: float
    model: float
    write: float
    busy: float
    cores: int

    def slowest(self, workers: int) -> tuple[Bound, float]:
        """Return the stage that the others wait for, and how long it makes a clip take."""
        longer: Bound = "decode" if self.decode >= self.faces else "faces"
        preparing = (self.decode + self.faces) / max(1, workers)
        seconds: dict[Bound, float] = {longer: preparing, "model": self.model, "write": self.write}
        seconds["cores"] = self.busy / self.cores
        return max(seconds.items(), key=lambda item: item[1])


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
        seconds: Mean length of a clip; None is that of the clips measured. Decoding goes by it, of audio everything.
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
    mean = rates.media_seconds / rates.clips
    length = 1.0 if seconds is None or mean <= 0 else seconds / mean
    growth = length if rates.modality == "audio" else 1.0
    as_measured, planned = _clip(rates, 1.0, 1.0), _clip(rates, length, growth)
    ideal = as_measured.slowest(rates.workers)[1]
    steady = max(rates.seconds - rates.startup, 0.0) / rates.clips
    # No pace is better than the ideal: a few clips seem so when those prepared during the start are done after it.
    factor = max(1.0, steady / ideal) if ideal > 0 else 1.0

    def hours(count: int) -> float:
        return (rates.startup / rates.runs + clips / machines * factor * planned.slowest(count)[1]) / _HOUR

    per_stage = {"decode": planned.decode, "faces": planned.faces, "model": planned.model, "write": planned.write}
    return ExtractorPlan(
        measured=rates,
        workers=workers,
        hours=hours(workers),
        bound=planned.slowest(workers)[0],
        stage_hours={stage: clips * spent / _HOUR for stage, spent in per_stage.items()},
        advice=_advise(rates, planned, workers, hours),
        feature_bytes=clips * growth * rates.feature_bytes / rates.clips,
        media_bytes=clips * length * rates.media_bytes / rates.clips,
    )


def _clip(rates: StageRates, length: float, growth: float) -> _Clip:
    """Return what a clip takes that is so much longer than those measured.

    Frames of a video are a fixed number, so its length matters to decoding alone; of audio, everything grows.
    """
    decode, rest = length / rates.clips, growth / rates.clips
    preparing = rates.decode + rates.faces
    longer = (rates.decode * length + rates.faces * growth) / preparing if preparing > 0 else 1.0
    # Processor time is known as a whole: it grows as the work it was measured with.
    busy = rates.busy / rates.clips * (growth if rates.modality == "audio" else longer)
    return _Clip(rates.decode * decode, rates.faces * rest, rates.model * rest, rates.write * rest, busy, rates.cores)


def _advise(rates: StageRates, clip: _Clip, workers: int, hours: Callable[[int], float]) -> tuple[str, ...]:
    """Return what would make it faster, the cheapest first."""
    bound, advice = clip.slowest(workers)[0], []
    if bound in ("decode", "faces"):
        rest = max(clip.model, clip.write, clip.busy / clip.cores)
        enough = max(1, math.ceil((clip.decode + clip.faces) / rest)) if rest > 0 else clip.cores
        enough = max(workers + 1, min(enough, clip.cores))
        if enough <= clip.cores:
            what = _BOUNDS[clip.slowest(enough)[0]]
            advice.append(f"with {enough} workers {what}: {hours(enough):.1f} hours")
        advice.append("cores: workers share them")
    elif bound == "model" and rates.on_gpu:
        advice.append("another GPU: a process for each, every one with its --shard, into one feature folder")
    elif bound == "write":
        advice.append("a faster disk under --features")
    elif rates.on_gpu:
        advice.append("more cores")
    else:
        advice.append("a GPU takes the model off the cores; measure it there first")
    advice.append("machines: n of them take an n-th of the time at the same price, each with its --shard")
    return tuple(advice)


_BOUNDS: dict[Bound, str] = {
    "decode": "decoding bounds",
    "faces": "finding faces bounds",
    "model": "the model bounds",
    "write": "writing bounds",
    "cores": "the cores bound",
}


def choose_rates(found: Sequence[Sequence[StageRates]], device: str, workers: int | None = None) -> list[StageRates]:
    """Return one of the rates of each extractor (of each the latest last): those of the device, ``cpu`` or any GPU.

    Of several, those with the workers asked for are preferred, then those of the most clips. An extractor that was not
    measured on such a device is a :class:`ConfigError`.
    """
    kind = "cpu" if device == "cpu" else "gpu"
    if kind == "gpu" and device.partition(":")[0] != "cuda":
        raise ConfigError(
            f"'{device}' is no device that a plan is made for", hint="Give --device cpu or --device cuda."
        )
    chosen = []
    for group in found:
        fitting = [rates for rates in group if rates.on_gpu == (kind == "gpu")]
        if not fitting:
            raise ConfigError(
                f"'{group[0].extractor}' was not measured on a {kind.upper()}",
                hint="Measure it on such a machine: `eri plan --measure DATA --save FILE`; then --rates FILE.",
            )
        chosen.append(max(reversed(fitting), key=lambda rates: (rates.workers == workers, rates.clips)))
    return chosen


def group_rates(rates: Sequence[StageRates]) -> list[list[StageRates]]:
    """Return the rates of one file, extractor by extractor."""
    names = dict.fromkeys(one.extractor for one in rates)
    return [[one for one in rates if one.extractor == name] for name in names]


def stored_rates(features: Path, configs: Sequence[ExtractorConfig]) -> list[list[StageRates]]:
    """Return the rates that earlier extractions left beside their features, a list for each config.

    Imported features are passed over, as there is nothing to extract; an extractor that was never measured there is a
    :class:`ConfigError`.
    """
    groups = []
    for config in configs:
        if isinstance(config, ImportedConfig):
            continue
        try:
            groups.append(read_rates(find_folder(features, config).path / NAME))
        except (StoreError, DataError) as error:
            raise ConfigError(
                f"{features}: extracting {config.modality} features '{config.extractor}' was never measured there",
                hint="Measure a few clips: --measure DATA; or extract some, or give another machine's --rates FILE.",
            ) from error
    return groups


def measure_rates(
    table: ClipTable,
    configs: Sequence[ExtractorConfig],
    runtime: Runtime,
    *,
    sample: int = 64,
    on_event: Callable[[ExtractionEvent], None] | None = None,
    create: Callable[[ExtractorConfig, Runtime], Extractor] = create_extractor,
) -> list[StageRates]:
    """Extract a few clips for nothing but the time that they take, see :func:`eri.extraction.run.extract`.

    ``sample`` clips are drawn evenly over the data set, the same ones each time. :class:`DataError` where none could be
    extracted.
    """
    drawn = sorted(table, key=lambda clip: hashlib.sha256(clip.id.encode()).digest())[:sample]
    few = replace(table, clips=tuple(sorted(drawn, key=lambda clip: clip.id)), folds={})
    with tempfile.TemporaryDirectory(prefix="eri-plan-") as folder:
        report = extract(few, configs, Path(folder), runtime, on_event=on_event, create=create)
    rates = [part.rates for part in report.extractors if part.rates is not None]
    if len(rates) < len(report.extractors) or not rates:
        first = f": {report.failures[0].message}" if report.failures else ""
        raise DataError(f"{table.name}: none of {len(few)} clips could be measured{first}")
    return rates
