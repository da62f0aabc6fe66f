"""Extraction: from a clip table to feature files, in worker processes, resumable at any moment."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from eri.config import ExtractorConfig, ImportedConfig, Runtime
from eri.data.clips import SPLITS, ClipTable, Split
from eri.errors import RemoteError, StoreError
from eri.extraction.failures import read_failures, update_failures
from eri.extraction.report import (
    ExtractionEvent,
    ExtractionReport,
    ExtractorReport,
    Failure,
    tally_states,
)
from eri.extraction.stages import StageShares
from eri.extraction.work import ExtractorWork
from eri.extractors import create_extractor
from eri.extractors.base import Extractor
from eri.store import FeatureStore, clip_sources, find_folder, remember_config

__all__ = [
    "ExtractionEvent",
    "ExtractionReport",
    "ExtractorReport",
    "Failure",
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
        on_event: Called in this process with the progress of each extractor.
        create: Makes an extractor from its config.

    Returns:
        Counts and failures; its ``exit_code`` is 0 when every clip has features, 3 when some failed and the rest is
        usable, 1 when an extractor has none at all.

    Raises:
        StoreError: The feature folder cannot be read or written, the disk is full, or features that the config takes
            from elsewhere were not imported.
        EriError: Something that concerns every clip, such as weights that are missing.
        RuntimeError: A bug; it names the clip or clips, and the error itself is its cause. What was finished is kept.
        KeyboardInterrupt: Ctrl-C; the workers are ended and what was finished is kept.
    """
    runtime = runtime or Runtime()
    started = time.monotonic()
    reports = [
        _extract_one(table, config, features, runtime, SPLITS if splits is None else splits, on_event, create)
        for config in configs
    ]
    return ExtractionReport(tuple(reports), time.monotonic() - started)


def _extract_one(
    table: ClipTable,
    config: ExtractorConfig,
    features: Path,
    runtime: Runtime,
    splits: Sequence[Split],
    on_event: Callable[[ExtractionEvent], None] | None,
    create: Callable[[ExtractorConfig, Runtime], Extractor],
) -> ExtractorReport:
    started = time.monotonic()
    if isinstance(config, ImportedConfig):
        return _count_imported(table, config, features, splits)
    extractor = create(config, runtime)
    folder = FeatureStore(features).folder(extractor.name, extractor.identity())
    remember_config(folder, config)
    clips = [clip for clip in table if clip.split in splits]
    sources = clip_sources(table, extractor.modality, clips)
    work = ExtractorWork(clips, sources, extractor, folder, runtime, on_event)
    ended_well = False
    try:
        work.run()
        ended_well = True
    finally:
        # A disk that is full for features is full for this list too: the first error is the one to show.
        with nullcontext() if ended_well else suppress(StoreError, RemoteError):
            update_failures(folder, work.settled, work.failures.values())
            folder.finish()
    return ExtractorReport(
        extractor=extractor.name,
        modality=extractor.modality,
        folder=folder.path,
        total=len(clips),
        computed=work.computed,
        already_complete=len(work.entries) - work.computed,
        failures=tuple(work.failures[clip_id] for clip_id in sorted(work.failures)),
        seconds=time.monotonic() - started,
        stages=work.shares,
        **tally_states(work.entries.values()),
    )


def _count_imported(
    table: ClipTable, config: ImportedConfig, features: Path, splits: Sequence[Split]
) -> ExtractorReport:
    """Report on features that were imported, which leaves nothing to extract; clips without them are no failures."""
    started = time.monotonic()
    folder = find_folder(features, config, table.name)
    clips = [clip.id for clip in table if clip.split in splits]
    entries = folder.entries(clips)
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
        **tally_states(entries.values()),
    )
