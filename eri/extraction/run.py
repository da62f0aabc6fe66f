"""Extraction: from a clip table to feature files, in worker processes, resumable at any moment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

from eri.config import ExtractorConfig, ImportedConfig, Runtime
from eri.data.clips import SPLITS, Clip, ClipTable, Split
from eri.extraction.engine import Engine, EngineName
from eri.extraction.extractors.registry import create_extractor
from eri.extraction.failures import read_failures, update_failures
from eri.extraction.local import LocalEngine
from eri.extraction.rates import StageRates, remember_rates
from eri.extraction.report import ExtractionEvent, ExtractionReport, ExtractorReport, Failure, tally_states
from eri.extraction.shards import Shard
from eri.extraction.stages import StageShares
from eri.extraction.work import ExtractorWork
from eri.features.records import Extractor
from eri.features.sources import clip_sources
from eri.features.store import FeatureStore, find_folder, remember_config
from eri.utils.errors import ConfigError, RemoteError, StoreError

__all__ = [
    "EngineName",
    "ExtractionEvent",
    "ExtractionReport",
    "ExtractorReport",
    "Failure",
    "Shard",
    "StageRates",
    "StageShares",
    "extract",
    "read_failures",
]


_LOG = logging.getLogger(__name__)


def extract(
    table: ClipTable,
    configs: Sequence[ExtractorConfig],
    features: Path,
    runtime: Runtime | None = None,
    *,
    splits: Sequence[Split] | None = None,
    shard: Shard | None = None,
    engine: EngineName = "local",
    address: str | None = None,
    on_event: Callable[[ExtractionEvent], None] | None = None,
    create: Callable[[ExtractorConfig, Runtime], Extractor] = create_extractor,
) -> ExtractionReport:
    """Make the features of every clip that has none yet, one extractor after the other.

    What is complete and matches its source is not opened again. The process may be killed at any moment, and several
    may work on one feature folder at once: no clip is done twice, none is half-written. A clip that cannot be decoded,
    crashes its worker or exceeds the timeout fails alone; it is in the report and in ``failures.csv`` of the feature
    folder, and is tried again by the next run.

    Features that were imported are not extracted: a line of the log says so, and the report counts those there are.

    Args:
        table: The data set.
        configs: The extractors.
        features: Folder of the feature store.
        runtime: Device, batch size, workers and timeout; None takes the defaults.
        splits: Splits to extract; None is all.
        shard: Extract only the clips of this shard; None is all. Shards are disjoint and may work on one feature folder
            at once, in any order and any number of times.
        engine: ``local`` is this process with its workers; ``ray`` is actors on a Ray cluster, which see the data and
            the feature folder under the same paths.
        address: Of that cluster, see :func:`eri.extraction.cluster.connecting.connect`.
        on_event: Called in this process with the progress of each extractor.
        create: Makes an extractor from its config.

    Returns:
        Counts and failures; its ``exit_code`` is 0 when every clip has features, 3 when some failed and the rest is
        usable, 1 when an extractor has none at all.

    Raises:
        StoreError: The feature folder cannot be read or written, the disk is full, or features that the config takes
            from elsewhere were not imported.
        EriError: Something that concerns every clip, such as weights that are missing.
        ClusterError: The Ray cluster cannot be reached or used.
        RuntimeError: A bug; it names the clip or clips, and the error itself is its cause. What was finished is kept.
        KeyboardInterrupt: Ctrl-C; the workers are ended and what was finished is kept.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    wanted = SPLITS if splits is None else splits
    clips = [clip for clip in table if clip.split in wanted and (shard is None or clip.id in shard)]
    with open_engine(engine, address, runtime, create, table.root) as opened:
        reports = [_extract_one(table, clips, config, features, runtime, on_event, opened) for config in configs]
    return ExtractionReport(tuple(reports), time.monotonic() - started, shard)


def _extract_one(
    table: ClipTable,
    clips: Sequence[Clip],
    config: ExtractorConfig,
    features: Path,
    runtime: Runtime,
    on_event: Callable[[ExtractionEvent], None] | None,
    engine: Engine,
) -> ExtractorReport:
    started = time.monotonic()
    if isinstance(config, ImportedConfig):
        return _count_imported(table, clips, config, features)
    with engine.load(config, partial(_count_missing, clips, config, features)) as model:
        folder = FeatureStore(features).folder(model.name, model.identity())
        remember_config(folder, config)
        sources = clip_sources(table, model.modality, clips)
        work = ExtractorWork(clips, sources, model, folder, runtime, on_event)
        ended_well = False
        try:
            work.run()
            ended_well = True
        finally:
            # A disk that is full for features is full for this list too: the first error is the one to show.
            with nullcontext() if ended_well else suppress(StoreError, RemoteError):
                update_failures(folder, work.settled, work.failures.values())
                folder.finish()
    rates = work.rates if isinstance(engine, LocalEngine) else None
    if rates is not None:
        remember_rates(folder, rates)
    return ExtractorReport(
        extractor=model.name,
        modality=model.modality,
        folder=folder.path,
        total=len(clips),
        computed=work.computed,
        already_complete=len(work.entries) - work.computed,
        failures=tuple(work.failures[clip_id] for clip_id in sorted(work.failures)),
        seconds=time.monotonic() - started,
        stages=work.shares,
        rates=rates,
        **tally_states(work.entries.values()),
    )


@contextmanager
def open_engine(
    name: EngineName,
    address: str | None,
    runtime: Runtime,
    create: Callable[[ExtractorConfig, Runtime], Extractor] = create_extractor,
    data: Path | None = None,
) -> Iterator[Engine]:
    """Give the engine of a name, for as long as a block runs.

    Args:
        name: ``local`` or ``ray``.
        address: Of the Ray cluster; None starts Ray on this machine for the block.
        runtime: Device, batch size, workers and timeout.
        create: Makes an extractor from its config.
        data: Folder of the data set, which every node of a cluster must see.

    Raises:
        ConfigError: An address for an engine that has none.
        ClusterError: The Ray cluster cannot be reached or used.
        MissingDependencyError: Ray is not installed.
    """
    if name == "local":
        if address is not None:
            raise ConfigError(f"the local engine has no address '{address}'", hint="Add --engine ray.")
        yield LocalEngine(runtime, create)
        return
    from eri.extraction.cluster.connecting import connect

    with connect(address) as cluster:
        from eri.extraction.ray import RayEngine  # after what says that Ray is not installed

        yield RayEngine(cluster, runtime, create, data)


def _count_missing(clips: Sequence[Clip], config: ExtractorConfig, features: Path) -> int:
    """Count the clips without features as far as can be told before the model is loaded."""
    try:
        folder = find_folder(features, config)
    except StoreError:
        return len(clips)
    return sum(not folder.feature_path(clip.id).exists() for clip in clips)


def _count_imported(table: ClipTable, clips: Sequence[Clip], config: ImportedConfig, features: Path) -> ExtractorReport:
    """Report on features that were imported, which leaves nothing to extract; clips without them are no failures."""
    started = time.monotonic()
    folder = find_folder(features, config, table.name)
    entries = folder.entries(clip.id for clip in clips)
    _LOG.warning(
        "'%s' are imported features, so nothing is extracted: %d of %d clips have them",
        config.name,
        len(entries),
        len(clips),
    )
    return ExtractorReport(
        extractor=config.name,
        modality=config.modality,
        folder=folder.path,
        total=len(clips),
        computed=0,
        already_complete=len(entries),
        failures=(),
        seconds=time.monotonic() - started,
        stages=None,
        rates=None,
        **tally_states(entries.values()),
    )
