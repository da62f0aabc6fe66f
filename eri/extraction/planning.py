"""What extracting so many clips takes in time, storage and money, from measured rates."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from eri.config import ExtractorConfig, ImportedConfig, Runtime
from eri.data.clips import ClipTable
from eri.extraction.extractors.registry import create_extractor
from eri.extraction.rates import NAME, StageRates, read_rates
from eri.extraction.run import ExtractionEvent, extract
from eri.features.records import Extractor
from eri.features.store import find_folder
from eri.utils.errors import ConfigError, DataError, StoreError

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
        origin: Where the rates are from, in words.
    """

    clips: int
    machines: int
    extractors: tuple[ExtractorPlan, ...]
    price: float | None = None
    origin: str = ""

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


Kind = Literal["cpu", "gpu"]


def device_kind(device: str) -> Kind:
    """Return which rates a device asks for.

    Raises:
        ConfigError: It is none that models run on.

    Examples:
        >>> device_kind("cpu"), device_kind("cuda:1")
        ('cpu', 'gpu')
    """
    if device == "cpu":
        return "cpu"
    if device.partition(":")[0] == "cuda":
        return "gpu"
    raise ConfigError(f"'{device}' is no device that a plan is made for", hint="Give --device cpu or --device cuda.")


def choose_rates(found: Sequence[Sequence[StageRates]], device: str, workers: int | None = None) -> list[StageRates]:
    """Return one of the rates of each extractor: of the device, with the workers asked for, else of the most clips.

    Args:
        found: What was measured of each extractor, the latest last.
        device: ``cpu``, or ``cuda`` for any GPU.
        workers: Of several measurements, prefer that with so many.

    Raises:
        ConfigError: One of them was not measured on such a device.
    """
    kind = device_kind(device)
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

    Args:
        features: Folder of the feature store.
        configs: The extractors; imported features are passed over, as there is nothing to extract.

    Raises:
        ConfigError: One of them was never measured there.
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
    """Extract a few clips for nothing but the time that they take.

    Args:
        table: The data set; clips are drawn evenly over it, the same ones each time.
        configs: The extractors.
        runtime: Runtime options of the extraction that is planned.
        sample: How many clips.
        on_event: Called with the progress.
        create: Makes an extractor from its config.

    Raises:
        DataError: No clip could be extracted.
        EriError: The extraction cannot be made, see :func:`eri.extraction.run.extract`.
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
