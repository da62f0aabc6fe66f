"""Extraction: from a clip table to feature files, resumable at any moment."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from eri.config import ExtractorConfig, ImportedConfig, Runtime
from eri.data.clips import SPLITS, Clip, ClipTable, Split
from eri.extraction.extractors.registry import create_extractor
from eri.extraction.pipeline import Engine, LocalEngine, Work
from eri.extraction.rates import StageRates, StageShares, measured_rates, remember_rates
from eri.extraction.report import (
    ExtractionEvent,
    ExtractionReport,
    ExtractionStage,
    ExtractorReport,
    Failure,
    Shard,
    describe_failure,
    tally_states,
    update_failures,
)
from eri.features.folder import FeatureFolder
from eri.features.index import Entry
from eri.features.records import Extractor
from eri.features.sources import Source, clip_sources
from eri.features.store import FeatureStore, find_folder, remember_config
from eri.utils.errors import ConfigError, EriError, RemoteError, StoreError, WorkerError

EngineName = Literal["local", "ray"]

LoadEngine = Callable[[ExtractorConfig, Callable[[], int]], AbstractContextManager[Engine]]
"""Loads an extractor for the length of a block, given its config and what counts the clips without features."""

_LOG = logging.getLogger(__name__)

_POLL = 0.2  # seconds between two attempts at clips that another run works on
_BETWEEN_SHARES = 1.0  # seconds between two events that say how busy each stage has been


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
    folder, and is tried again by the next run. Of features that were imported, the report counts those there are.

    ``engine`` is ``local`` for this process with its workers, or ``ray`` for actors on the Ray cluster at ``address``
    (see :func:`eri.extraction.cluster.connect`), which see data and features under the same paths. ``splits`` and
    ``shard`` choose clips, ``create`` makes an extractor from its config, and ``patience`` is the seconds beyond the
    timeout that other runs get for clips that they have locked.

    What concerns every clip ends the run: a feature folder that cannot be written, missing weights, a cluster out of
    reach (:class:`EriError`); a bug (:class:`RuntimeError`, which names the clips, with the error itself as its cause);
    Ctrl-C. What was finished is kept.
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
                by_id = {clip.id: clip for clip in clips}
                run = _ExtractorRun(by_id, sources, loaded, folder, runtime, on_event, patience)
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
    message = "'%s' are imported features, so nothing is extracted: %d of %d clips have them"
    _LOG.warning(message, config.name, len(entries), len(clips))
    states, seconds = tally_states(entries.values()), time.monotonic() - started
    counts: dict[str, Any] = {"total": len(clips), "computed": 0, "already_complete": len(entries), **states}
    return ExtractorReport(config.name, config.modality, folder.path, **counts, failures=(), seconds=seconds)


@dataclass(eq=False)
class _ExtractorRun:
    """One extractor's run over the clips: checks the cache, has the rest processed, and reports every clip once."""

    clips: Mapping[str, Clip]
    sources: Mapping[str, Source | None]
    engine: Engine
    folder: FeatureFolder
    runtime: Runtime
    on_event: Callable[[ExtractionEvent], None] | None
    patience: float
    entries: dict[str, Entry] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    made: list[Entry] = field(default_factory=list)
    shares: StageShares | None = None
    rates: StageRates | None = None
    todo: deque[str] = field(default_factory=deque)
    in_work: int = 0
    locked_elsewhere: list[str] = field(default_factory=list)
    waiting_for: tuple[frozenset[str], float] = (frozenset(), 0.0)  # until when
    begun: float | None = None
    shares_sent: float = 0.0
    first: tuple[float, int] = (0.0, 0)  # when the first clips were made, and how many

    def run(self) -> None:
        """Process what is missing; the failures are listed beside the features, also when an error ends it."""
        ended_well = False
        try:
            inventory = self.folder.take_inventory(
                self.sources,
                threads=max(1, self.runtime.workers),
                on_checked=lambda count: self._emit("check", done=count),
            )
            self.entries.update(inventory.complete)
            self.todo.extend(inventory.incomplete)
            if self.todo:
                self._process()
            self._emit("end")
            ended_well = True
        finally:
            # A disk that is full for features is full for this list too: the first error is the one to show.
            with nullcontext() if ended_well else suppress(StoreError, RemoteError):
                update_failures(self.folder, {*self.entries, *self.failures}, self.failures.values())
                self.folder.finish()
        if self.shares is not None and self.made and isinstance(self.engine, LocalEngine):
            name, modality, startup = self.engine.name, self.engine.modality, self._startup(self.shares)
            self.rates = measured_rates(name, modality, self.runtime, self.shares, self.made, startup)
            remember_rates(self.folder, self.rates)

    def report(self, seconds: float) -> ExtractorReport:
        """Return the report of a run that took so many seconds."""
        return ExtractorReport(
            extractor=self.engine.name,
            modality=self.engine.modality,
            folder=self.folder.path,
            total=len(self.clips),
            computed=len(self.made),
            already_complete=len(self.entries) - len(self.made),
            failures=tuple(self.failures[clip_id] for clip_id in sorted(self.failures)),
            seconds=seconds,
            stages=self.shares,
            rates=self.rates,
            **tally_states(self.entries.values()),
        )

    def _process(self) -> None:
        self.folder.open_for_writing()
        self.begun = time.monotonic()
        with self.engine.open(self.folder, len(self.todo)):
            for result in self.engine.process(self._work()):
                self.in_work -= 1
                if result.error is not None:
                    self._fail(result.clip_id, result.error)
                elif result.entry is None:
                    self.locked_elsewhere.append(result.clip_id)
                else:
                    self.entries[result.clip_id] = result.entry
                    if result.computed:
                        self.made.append(result.entry)
                    self._emit("extract")
            # Before the engine is closed: what its end takes is not what the stages were busy in.
            self.shares = self.engine.shares(time.monotonic() - self.begun)

    def _work(self) -> Iterator[Work | None]:
        """Yield the clips to process, and None while there are none but those in work."""
        while self.todo or self.in_work or self.locked_elsewhere:
            if self.todo:
                clip_id = self.todo.popleft()
                self.in_work += 1
                yield self.clips[clip_id], self.sources[clip_id]
            elif self.in_work:
                yield None
            else:
                self._await_others()
            if self.made and not self.first[1]:
                self.first = (self._seconds(), len(self.made))

    def _await_others(self) -> None:
        """Give other runs time for the clips they have locked: try these again, and fail those they never finish."""
        locked, self.locked_elsewhere = self.locked_elsewhere, []
        ids, now = frozenset(locked), time.monotonic()
        if ids != self.waiting_for[0]:
            self.waiting_for = (ids, now + self.runtime.timeout + self.patience)
            self._emit("wait")
        elif now > self.waiting_for[1]:
            for clip_id in locked:
                message = f"clip {clip_id}: another run has had it locked for too long"
                self._fail(clip_id, WorkerError(message, reason="claimed", hint="Run again when that run has ended."))
            return
        time.sleep(_POLL)
        self.todo.extend(locked)

    def _fail(self, clip_id: str, error: EriError) -> None:
        source = self.sources[clip_id]
        failure = describe_failure(error, clip_id, self.engine.name, "" if source is None else source.name)
        self.failures[clip_id] = failure
        self._emit("extract", failure=failure)

    def _startup(self, shares: StageShares) -> float:
        """Return what is left of the time when each clip has its share at the pace after the first few."""
        (since, clips), made = self.first, len(self.made)
        return max(0.0, shares.seconds - made * (shares.seconds - since) / (made - clips)) if made > clips else 0.0

    def _seconds(self) -> float:
        return 0.0 if self.begun is None else time.monotonic() - self.begun

    def _emit(self, stage: ExtractionStage, *, done: int | None = None, failure: Failure | None = None) -> None:
        if self.on_event is None:
            return
        shares, seconds = None, self._seconds()
        if stage in ("extract", "wait") and seconds - self.shares_sent >= _BETWEEN_SHARES:
            shares, self.shares_sent = self.engine.shares(seconds), seconds
        finished = len(self.entries) + len(self.failures) if done is None else done
        counts = finished, len(self.clips), len(self.made), len(self.failures)
        self.on_event(ExtractionEvent(self.engine.name, stage, *counts, seconds, failure, shares))
