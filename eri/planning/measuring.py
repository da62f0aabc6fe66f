"""Where the rates of a plan come from: extractions that were made, or a sample of clips that is measured now."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from eri.config import ExtractorConfig, ImportedConfig, Runtime
from eri.data.clips import ClipTable
from eri.errors import ConfigError, DataError, StoreError
from eri.extraction import ExtractionEvent, StageRates, extract
from eri.extraction.rates import NAME, read_rates
from eri.extractors import create_extractor
from eri.extractors.base import Extractor
from eri.store import find_folder

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
        runtime: The knobs of the extraction that is planned.
        sample: How many clips.
        on_event: Called with the progress.
        create: Makes an extractor from its config.

    Raises:
        DataError: No clip could be extracted.
        EriError: The extraction cannot be made, see :func:`eri.extraction.extract`.
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
