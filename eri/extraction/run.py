"""Extraction: from a clip table to feature files, resumable at any moment."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Literal

from eri.config import ExtractorConfig, ImportedConfig, Runtime
from eri.data.clips import SPLITS, Clip, ClipTable, Split
from eri.extraction.extractors.registry import create_extractor
from eri.extraction.pipeline import ClipResult, Engine, LocalEngine, Work
from eri.extraction.rates import StageRates, StageShares, measured_rates, remember_rates
from eri.extraction.report import (
    ExtractionEvent,
    ExtractionReport,
    ExtractorReport,
    Failure,
    describe_failure,
    read_failures,
    tally_states,
    update_failures,
)
from eri.extraction.shards import Shard
from eri.features.folder import FeatureFolder
from eri.features.index import Entry
from eri.features.records import Extractor
from eri.features.sources import Source, clip_sources
from eri.features.store import FeatureStore, find_folder, remember_config
from eri.utils.errors import ConfigError, EriError, RemoteError, StoreError, WorkerError

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

EngineName = Literal["local", "ray"]

LoadEngine = Callable[[ExtractorConfig, Callable[[], int]], AbstractContextManager[Engine]]
"""Loads an extractor for the length of a block, given its config and what counts the clips without features."""

_LOG = logging.getLogger(__name__)

_POLL = 0.2
"""Seconds between two attempts at clips that another run works on."""

_BETWEEN_SHARES = 1.0
"""Seconds between two events that say how busy each stage has been."""


def extract(
    table: ClipTable,
    configs: Sequence[ExtractorConfig],
    features: Path,
    runtime: Runtime | None = None,
    *,
    splits: Sequence[Split] | None = None,
    shard: Shard | None = None,
    engine: EngineName | LoadEngine = "local",
    address: str | None = None,
    on_event: Callable[[ExtractionEvent], None] | None = None,
    create: Callable[[ExtractorConfig, Runtime], Extractor] = create_extractor,
    patience: float = 60.0,
) -> ExtractionReport:
    """Extract the features of every clip that has none yet, one extractor after the other.

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
        address: Of that cluster, see :func:`eri.extraction.cluster.connect`.
        on_event: Called in this process with the progress of each extractor.
        create: Makes an extractor from its config.
        patience: Seconds beyond the timeout that other runs get for clips that they have locked.

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
    reports = []
    with _open_engine(engine, address, runtime, create, table.root) as load:
        for config in configs:
            if isinstance(config, ImportedConfig):
                reports.append(_count_imported(table, clips, config, features))
                continue
            begun = time.monotonic()
            with load(config, partial(_count_missing, clips, config, features)) as loaded:
                folder = FeatureStore(features).folder(loaded.name, loaded.identity())
                remember_config(folder, config)
                sources = clip_sources(table, loaded.modality, clips)
                run = _ExtractorRun(clips, sources, loaded, folder, runtime, on_event, patience)
                run.run()
            reports.append(run.report(time.monotonic() - begun))
    return ExtractionReport(tuple(reports), time.monotonic() - started, shard)


@contextmanager
def _open_engine(
    engine: EngineName | LoadEngine,
    address: str | None,
    runtime: Runtime,
    create: Callable[[ExtractorConfig, Runtime], Extractor],
    data: Path,
) -> Iterator[LoadEngine]:
    if engine == "local":
        if address is not None:
            raise ConfigError(f"the local engine has no address '{address}'", hint="Add --engine ray.")
        yield lambda config, missing: nullcontext(LocalEngine(create(config, runtime), runtime))
    elif engine == "ray":
        from eri.extraction.cluster import connect

        with connect(address) as cluster:
            from eri.extraction.ray_engine import load_on_ray  # after what says that Ray is not installed

            yield partial(load_on_ray, cluster, runtime, create, data)
    else:
        yield engine


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


class _ExtractorRun:
    """One extractor's run over the clips: checks the cache, has the rest processed, and reports every clip once."""

    def __init__(
        self,
        clips: Sequence[Clip],
        sources: Mapping[str, Source | None],
        engine: Engine,
        folder: FeatureFolder,
        runtime: Runtime,
        on_event: Callable[[ExtractionEvent], None] | None,
        patience: float,
    ) -> None:
        self._clips = {clip.id: clip for clip in clips}
        self._sources = sources
        self._engine = engine
        self._folder = folder
        self._runtime = runtime
        self._on_event = on_event
        self._patience = patience
        self._entries: dict[str, Entry] = {}
        self._failures: dict[str, Failure] = {}
        self._made: list[Entry] = []
        self._shares: StageShares | None = None
        self._rates: StageRates | None = None
        self._todo: deque[str] = deque()
        self._in_work = 0
        self._locked_elsewhere: list[str] = []
        self._waiting_for: tuple[frozenset[str], float] = frozenset(), 0.0
        self._begun: float | None = None
        self._shares_sent = 0.0
        self._first = (0.0, 0)

    def run(self) -> None:
        """Process what is missing; the failures are listed beside the features, also when an error ends it."""
        ended_well = False
        try:
            self._check_cache()
            if self._todo:
                self._process()
            self._emit("end")
            ended_well = True
        finally:
            # A disk that is full for features is full for this list too: the first error is the one to show.
            with nullcontext() if ended_well else suppress(StoreError, RemoteError):
                update_failures(self._folder, {*self._entries, *self._failures}, self._failures.values())
                self._folder.finish()
        if self._shares is not None and self._made and isinstance(self._engine, LocalEngine):
            self._rates = self._measure(self._shares)
            remember_rates(self._folder, self._rates)

    def report(self, seconds: float) -> ExtractorReport:
        """Return the report of a run that took so many seconds."""
        return ExtractorReport(
            extractor=self._engine.name,
            modality=self._engine.modality,
            folder=self._folder.path,
            total=len(self._clips),
            computed=len(self._made),
            already_complete=len(self._entries) - len(self._made),
            failures=tuple(self._failures[clip_id] for clip_id in sorted(self._failures)),
            seconds=seconds,
            stages=self._shares,
            rates=self._rates,
            **tally_states(self._entries.values()),
        )

    def _check_cache(self) -> None:
        inventory = self._folder.take_inventory(
            self._sources,
            threads=max(1, self._runtime.workers),
            on_checked=lambda count: self._emit("check", done=count),
        )
        self._entries.update(inventory.complete)
        self._todo.extend(inventory.incomplete)

    def _process(self) -> None:
        self._folder.open_for_writing()
        self._begun = time.monotonic()
        with self._engine.open(self._folder, len(self._todo)):
            for result in self._engine.process(self._work()):
                self._in_work -= 1
                self._record(result)
            # Before the engine is closed: what its end takes is not what the stages were busy in.
            self._shares = self._engine.shares(time.monotonic() - self._begun)

    def _work(self) -> Iterator[Work | None]:
        """Yield the clips to process, and None while there are none but those in work."""
        while self._todo or self._in_work or self._locked_elsewhere:
            if self._todo:
                clip_id = self._todo.popleft()
                self._in_work += 1
                yield self._clips[clip_id], self._sources[clip_id]
            elif self._in_work:
                yield None
            else:
                self._await_others()
            if self._made and not self._first[1]:
                self._first = (self._seconds(), len(self._made))

    def _record(self, result: ClipResult) -> None:
        """Record what became of a clip."""
        if result.error is not None:
            self._fail(result.clip_id, result.error)
        elif result.entry is None:
            self._locked_elsewhere.append(result.clip_id)
        else:
            self._entries[result.clip_id] = result.entry
            if result.computed:
                self._made.append(result.entry)
            self._emit("extract")

    def _await_others(self) -> None:
        """Give other runs time for the clips they have locked: try these again, and fail those they never finish."""
        locked, self._locked_elsewhere = self._locked_elsewhere, []
        ids, now = frozenset(locked), time.monotonic()
        if ids != self._waiting_for[0]:
            self._waiting_for = (ids, now + self._runtime.timeout + self._patience)
            self._emit("wait")
        elif now > self._waiting_for[1]:
            for clip_id in locked:
                message = f"clip {clip_id}: another run has had it locked for too long"
                self._fail(clip_id, WorkerError(message, reason="claimed", hint="Run again when that run has ended."))
            return
        time.sleep(_POLL)
        self._todo.extend(locked)

    def _fail(self, clip_id: str, error: EriError) -> None:
        source = self._sources[clip_id]
        failure = describe_failure(error, clip_id, self._engine.name, "" if source is None else source.name)
        self._failures[clip_id] = failure
        self._emit("extract", failure=failure)

    def _measure(self, shares: StageShares) -> StageRates:
        """Return what the clips took that this run extracted."""
        (since, clips), made = self._first, len(self._made)
        # What is left of the time when each clip has its share at the pace after the first few.
        startup = shares.seconds - made * (shares.seconds - since) / (made - clips) if made > clips else 0.0
        return measured_rates(
            self._engine.name,
            self._engine.modality,
            self._runtime,
            shares,
            clips=made,
            startup=max(0.0, startup),
            media_bytes=sum(entry.source.size for entry in self._made),
            feature_bytes=sum(entry.file.size for entry in self._made),
        )

    def _seconds(self) -> float:
        return 0.0 if self._begun is None else time.monotonic() - self._begun

    def _emit(
        self,
        stage: Literal["check", "extract", "wait", "end"],
        *,
        done: int | None = None,
        failure: Failure | None = None,
    ) -> None:
        if self._on_event is None:
            return
        shares, seconds = None, self._seconds()
        if stage in ("extract", "wait") and seconds - self._shares_sent >= _BETWEEN_SHARES:
            shares, self._shares_sent = self._engine.shares(seconds), seconds
        self._on_event(
            ExtractionEvent(
                extractor=self._engine.name,
                stage=stage,
                done=len(self._entries) + len(self._failures) if done is None else done,
                total=len(self._clips),
                computed=len(self._made),
                failed=len(self._failures),
                seconds=seconds,
                failure=failure,
                shares=shares,
            )
        )
