"""Extraction on a Ray cluster: actors that hold the extractor and process clips from the file to the features.

Each actor runs the local engine, with worker processes of its own, and writes features into the shared folder itself:
what travels is the names of clips and what became of them. The driver keeps the list of clips, as for any engine.

Why neither Ray Data nor :class:`ray.util.ActorPool` nor Ray's own restarts: an actor that dies takes all clips along
that it has in work. ActorPool gives them up and the actor with them; Ray Data and ``max_task_retries`` begin them all
again together, until the innocent ones fail with the one that kills actors or the whole data set does. Here a clip that
was there at two deaths is given to an actor alone, so that it fails alone. docs/scaling.md says more.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, Queue
from threading import Event
from typing import Any, Literal

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from eri.config import ExtractorConfig, Runtime, Stream
from eri.extraction.cluster import SAME_VERSIONS, Cluster, Needs, NodeFacts, at_node, refuse_stranger, this_node
from eri.extraction.extractors.registry import create_extractor, extractor_factory
from eri.extraction.pipeline import WAITING, ClipResult, LocalEngine, Work, look_ahead
from eri.extraction.rates import Stage, StageClock, StageShares
from eri.features.folder import FeatureFolder
from eri.features.problems import explained
from eri.features.records import Extractor
from eri.storage import mirrored_url
from eri.utils.errors import ClusterError, DataError, EriError, StoreError, WorkerError

Create = Callable[[ExtractorConfig, Runtime], Extractor]
Answer = tuple[ClipResult, Mapping[Stage, float]]
Loaded = tuple[str, Stream, dict[str, Any]]

_HEARTBEAT = 0.5  # seconds after which whoever hears nothing looks after its limits
_LOADING = 900.0  # seconds that an actor has to load its extractor: weights may have to be fetched first
_LEAVING = 10.0  # seconds that actors have to end their worker processes
_FALSE_STARTS = 3  # actors that may die one after the other before any of them is ready
_DEATHS = 3  # actors that may die while they have a clip, before the clip is taken for what killed them


class _LeavingError(Exception):
    """An actor is to end."""


class ExtractionActor:
    """An extractor on some node: introduces itself, loads, opens the folder, and processes clips until it is to leave.

    Ray calls each method in a thread of its own; one more thread runs the engine, and the calls wait for what it says
    of their clips.
    """

    def __init__(self) -> None:
        self._work: Queue[Work] = Queue()
        self._answers: dict[str, Future[Answer]] = {}
        self._ending = Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="extraction")

    def introduce(self, place: Path) -> NodeFacts:
        """Go to the driver's own folder, where the node has it, so that relative paths mean the same."""
        with suppress(OSError):
            os.chdir(place)
        return this_node()

    def load(self, config: ExtractorConfig, runtime: Runtime, create: Create) -> Loaded:
        """Load the extractor and return its name, modality and identity; :class:`EriError` where that cannot be."""
        extractor = create(config, runtime)
        self._engine = LocalEngine(extractor, runtime)
        self._clips = max(1, runtime.workers)
        return extractor.name, extractor.modality, extractor.identity()

    def open(self, folder: FeatureFolder, probe: str, data: Path | None) -> None:
        """Begin to wait for clips; see :func:`check_shared_folders`."""
        check_shared_folders(folder, probe, data)
        self._running = self._thread.submit(self._run, folder)

    def process(self, work: Work) -> Answer:
        """Process a clip; return what became of it, and the seconds that each stage took since the beginning."""
        answer = self._answers[work[0].id] = Future()
        self._work.put(work)
        either: list[Future[Any]] = [answer, self._running]
        wait(either, return_when=FIRST_COMPLETED)
        if not answer.done():
            self._running.result()  # raises what ended the engine
        return answer.result(timeout=0)

    def leave(self) -> None:
        """End the worker processes and remove what is temporary; clips that are not done yet are left undone."""
        self._ending.set()
        self._thread.shutdown(wait=True)

    def _run(self, folder: FeatureFolder) -> None:
        with suppress(_LeavingError), self._engine.open(folder, self._clips):
            for result in self._engine.process(self._queued()):
                self._answers.pop(result.clip_id).set_result((result, self._engine.clock.seconds()))
        folder.finish()

    def _queued(self) -> Iterator[Work | None]:
        while not self._ending.is_set():
            try:
                yield self._work.get(block=not self._answers, timeout=_HEARTBEAT)
            except Empty:
                yield None
        raise _LeavingError


def check_shared_folders(folder: FeatureFolder, probe: str, data: Path | None) -> None:
    """Raise an error unless this node sees the driver's feature folder, and the data set where that is in a folder.

    The driver has made the file ``probe`` in the feature folder, under a name that is nowhere else.
    """
    if folder.on_disk:
        path = folder.path
        if not (path / probe).exists():
            raise StoreError(
                f"{path}: is {'not the feature folder of the driver' if path.exists() else 'not there'}",
                hint="Every node must see one feature folder under the same path: put it on a file system that all "
                "nodes share, such as NFS, and name it with --features DIR, or give the URL of an object store. "
                "Without either, give each machine its own --shard.",
            )
        with explained(path):
            tempfile.TemporaryFile(dir=path).close()  # without a name: nothing is left should this process be killed
    if data is not None and not data.exists():
        raise DataError(
            f"{data}: the data set is not there",
            hint="Every node must see the clips under the same path: put them on a file system that all nodes share.",
        )


@dataclass(eq=False)
class _Actor:
    """One actor, as the driver sees it."""

    handle: Any
    stage: Literal["starting", "loading", "loaded", "ready"] = "starting"
    since: float = field(default_factory=time.monotonic)  # when it came so far, or was last heard of
    node: NodeFacts | None = None
    work: dict[str, Work] = field(default_factory=dict)  # what it has been given and has not answered
    seconds: Mapping[Stage, float] = field(default_factory=dict)  # how busy its stages have been
    began: float | None = None
    ended: float | None = None

    def __str__(self) -> str:
        return "of a cluster that has not placed it yet" if self.node is None else str(self.node)

    def end(self) -> None:
        self.ended = time.monotonic()
        ray.kill(self.handle, no_restart=True)


@contextmanager
def load_on_ray(
    cluster: Cluster,
    runtime: Runtime,
    create: Create,
    data: Path | None,
    config: ExtractorConfig,
    missing: Callable[[], int],
    **limits: float,
) -> Iterator[RayEngine]:
    """Load an extractor in as many actors as there seem to be clips to process (``missing`` counts), in one at least.

    :class:`RayEngine` says what else it takes; :class:`EriError` where it cannot be loaded or there is no room for it.
    """
    # What makes it is sent rather than its name: an actor has imported nothing that registers it.
    create = extractor_factory(config) if create is create_extractor else create
    engine = RayEngine(cluster, runtime, create, data, config, **limits)
    try:
        engine.load(max(1, missing()))
        yield engine
    finally:
        engine.dismiss()


class RayEngine:
    """An extractor in actors of a Ray cluster, which are started where there is room and replaced when they die.

    Each actor takes a core of its node for each worker process, and a GPU where the cluster has any and the device is
    not ``cpu``. There are as many actors as the cluster has room for, and never more than clips. ``data`` is the folder
    of the data set, which every node must see. ``patience``: seconds that the cluster has to find room for an actor
    while none is at work; ``stalled``: seconds beyond a clip's timeout without an answer after which an actor is taken
    for dead; ``recount``: seconds between two counts of what the cluster has in all.
    """

    name: str
    modality: Stream

    def __init__(
        self,
        cluster: Cluster,
        runtime: Runtime,
        create: Create,
        data: Path | None,
        config: ExtractorConfig,
        *,
        patience: float = 120.0,
        stalled: float = 180.0,
        recount: float = 5.0,
    ) -> None:
        self._cluster, self._data = cluster, data
        self._patience, self._recount = patience, recount
        self._workers = runtime.workers
        self._order = config, runtime, create
        ready = runtime.timeout + stalled
        self._limits = {"starting": float("inf"), "loading": _LOADING, "loaded": _LOADING, "ready": ready}
        self._limit = look_ahead(runtime.workers) + WAITING  # what an actor works on, and enough to wait for no one
        self._needs = Needs.of(runtime, cluster.nodes())
        self._class = ray.remote(ExtractionActor).options(
            num_cpus=self._needs.cpus,
            num_gpus=self._needs.gpus,
            max_concurrency=self._limit + 2,  # the others are for opening and leaving
            scheduling_strategy="SPREAD",
        )
        self._here = this_node()
        self._identity: dict[str, Any] | None = None
        self._shared: tuple[FeatureFolder, str, Path | None] | None = None
        self._actors: list[_Actor] = []
        self._former: list[_Actor] = []
        self._calls: dict[Any, tuple[_Actor, Callable[[_Actor, Any], None]]] = {}  # and what is done with the answer
        self._room = (0.0, 0)
        self._false_starts = 0
        self._placed = time.monotonic()
        self._pending: deque[Work] = deque()
        self._deaths: Counter[str] = Counter()
        self._results: deque[ClipResult] = deque()
        self._left = 0

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the numbers; all actors agree on it."""
        return self._identity or {}

    def load(self, clips: int) -> None:
        """Start actors for so many clips, and wait until one has loaded the extractor."""
        while self._identity is None:
            self._start_actors(clips)
            if error := self._poll():
                raise error

    @contextmanager
    def open(self, folder: FeatureFolder, clips: int) -> Iterator[None]:
        """Have the actors open the feature folder, now and whenever one is started."""
        # Clips of an object store are fetched by each node for itself.
        here = self._data is not None and self._data.exists() and mirrored_url(self._data, "data") is None
        data = self._data.absolute() if self._data is not None and here else None
        self._left = clips
        # A lock, so that its file is swept away by the next run should this process be killed.
        name = f"driver-{secrets.token_hex(16)}"
        with folder.lock_clip(name) or nullcontext():
            self._shared = folder.for_others(), f".claims/{name}.lock", data
            for actor in self._actors:
                if actor.stage == "loaded":
                    self._open_folder(actor)
            yield
            folder.sweep_all()  # an actor that was killed may have left a file that it was writing

    def process(self, work: Iterable[Work | None]) -> Iterator[ClipResult]:
        """See :meth:`eri.extraction.pipeline.Engine.process`."""
        for item in work:
            if item is None:
                yield from self._advance()
                continue
            self._pending.append(item)
            self._hand_out()
            while self._pending:
                yield from self._advance()

    def shares(self, seconds: float) -> StageShares | None:
        """Return how busy each stage was, as means over the actors and the time that each was ready."""
        clock, present = StageClock(), 0.0
        for actor in (*self._former, *self._actors):
            if actor.began is not None:
                present += (actor.ended or time.monotonic()) - actor.began
                for stage, busy in actor.seconds.items():
                    clock.add(stage, busy)
        return clock.shares(present, self._workers)

    def dismiss(self) -> None:
        """Have all actors leave, and end those that do not."""
        leaving = [actor.handle.leave.remote() for actor in self._actors if actor.stage == "ready"]
        try:
            if leaving:
                ray.wait(leaving, num_returns=len(leaving), timeout=_LEAVING)
        finally:
            for actor in self._actors:
                actor.end()
            self._former += self._actors
            self._actors.clear()

    def _advance(self) -> Iterator[ClipResult]:
        """Keep the actors complete, give them what dead ones had, and yield what became of clips meanwhile."""
        self._start_actors(self._left)
        self._hand_out()
        error = self._poll()
        while self._results:
            result = self._results.popleft()
            self._left -= result.entry is not None or result.error is not None
            yield result
        if error is not None:
            raise error

    def _start_actors(self, wanted: int) -> None:
        """Start actors until there are as many as wanted or as the cluster has room for."""
        counted, room = self._room
        now = time.monotonic()
        if now - counted > self._recount:
            room = self._needs.fit(self._cluster.nodes())
            self._room = (now, room)
        for _ in range(min(wanted, room) - len(self._actors)):
            actor = _Actor(self._class.remote())
            self._actors.append(actor)
            self._calls[actor.handle.introduce.remote(Path.cwd())] = actor, self._greet

    def _greet(self, actor: _Actor, node: NodeFacts) -> None:
        actor.node = node
        refuse_stranger(node, self._here)
        actor.stage = "loading"
        self._calls[actor.handle.load.remote(*self._order)] = actor, self._compare

    def _compare(self, actor: _Actor, loaded: Loaded) -> None:
        """Accept an extractor, unless it is another than that of the first actor."""
        name, modality, identity = loaded
        if self._identity is None:
            self.name, self.modality, self._identity = name, modality, identity
        elif self._identity != identity:
            keys = {*self._identity, *identity}
            differ = sorted(key for key in keys if self._identity.get(key) != identity.get(key))
            raise ClusterError(
                f"node {actor}: its {name} is another than that of the first node: {', '.join(differ)}",
                hint="Its features would not belong together. Give every node the same weights and libraries.",
            )
        actor.stage = "loaded"
        if self._shared is not None:
            self._open_folder(actor)

    def _open_folder(self, actor: _Actor) -> None:
        actor.since = time.monotonic()
        self._calls[actor.handle.open.remote(*(self._shared or ()))] = actor, self._welcome

    def _welcome(self, actor: _Actor, _: None) -> None:
        actor.stage, actor.began = "ready", time.monotonic()
        self._false_starts = 0

    def _hand_out(self) -> None:
        for _ in range(len(self._pending)):
            work = self._pending.popleft()
            limit = 1 if self._is_suspect(work[0].id) else self._limit
            free = [
                actor
                for actor in self._actors
                if actor.stage == "ready" and len(actor.work) < limit and not any(map(self._is_suspect, actor.work))
            ]
            if not free:
                self._pending.append(work)
                continue
            actor = min(free, key=lambda one: len(one.work))
            actor.since = actor.since if actor.work else time.monotonic()
            actor.work[work[0].id] = work
            self._calls[actor.handle.process.remote(work)] = actor, self._take

    def _is_suspect(self, clip_id: str) -> bool:
        """Whether a clip has to be alone with its actor, so that another death is its own."""
        return self._deaths[clip_id] >= _DEATHS - 1

    def _take(self, actor: _Actor, answer: Answer) -> None:
        result, actor.seconds = answer
        del actor.work[result.clip_id]
        # An actor that died after it had written the features could not say that they were made just now.
        found_again = result.entry is not None and self._deaths[result.clip_id] > 0
        self._results.append(replace(result, computed=result.computed or found_again))

    def _poll(self) -> Exception | None:
        """Wait for answers, for a heartbeat at most, do what is to be done with them, and return what ends the run.

        Answers come before errors: what a run had achieved is reported before it ends.
        """
        if not self._calls:
            time.sleep(_HEARTBEAT)
            return self._look_after_limits()
        done, _ = ray.wait(list(self._calls), num_returns=1, timeout=_HEARTBEAT)
        if done:
            done, _ = ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
        errors: list[tuple[_Actor, RayError]] = []
        fatal: Exception | None = None
        for ref in done:
            actor, then = self._calls.pop(ref)
            try:
                answer = ray.get(ref, timeout=_HEARTBEAT)
            except RayError as error:
                errors.append((actor, error))
                continue
            actor.since = time.monotonic()
            try:
                then(actor, answer)
            except EriError as error:
                fatal = fatal or error
        for actor, ray_error in errors:
            fatal = fatal or self._explain(actor, ray_error)
        return fatal or self._look_after_limits()

    def _explain(self, actor: _Actor, error: RayError) -> Exception | None:
        """Return what an error of a call means for the run; the death of an actor means nothing for it."""
        if isinstance(error, RayTaskError):
            if isinstance(error.cause, EriError):
                return at_node(error.cause, str(actor))
            bug = RuntimeError(f"node {actor}: {error.cause}")
            bug.__cause__ = error
            return bug
        if not isinstance(error, RayActorError):
            return ClusterError(f"node {actor}: {error}")
        said = str(error)
        if error.actor_init_failed:  # not even the actor could be imported there
            address = (*re.findall(r"ip=([^,)]+)", said), "of unknown address")[0]
            last = said.strip().splitlines()[-1]
            return ClusterError(f"node {address}: eri cannot be used there: {last}", hint=SAME_VERSIONS)
        # The sentences of Ray that say why, in one line and without its field of names.
        lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("\t")]
        return self._lose(actor, " ".join(lines)[:400])

    def _look_after_limits(self) -> Exception | None:
        now = time.monotonic()
        if any(actor.stage != "starting" for actor in self._actors):
            self._placed = now
        if now - self._placed > self._patience:
            what = f"{self._needs.cpus} free CPUs{' and a free GPU' if self._needs.gpus else ''}"
            return ClusterError(
                f"no node of the Ray cluster had {what} within {self._patience:g} s",
                hint="`ray status` shows what others use; run again when they have ended.",
            )
        for actor in list(self._actors):
            waiting = actor.work if actor.stage == "ready" else actor.stage != "loaded" or self._shared
            limit = self._limits[actor.stage]
            if not waiting or now - actor.since <= limit:
                continue
            if error := self._lose(actor, f"nothing was heard of it for {limit:.0f} s"):
                return error
        return None

    def _lose(self, actor: _Actor, reason: str) -> ClusterError | None:
        """Give up a dead actor and take back its clips; a clip that has cost as many actors as it may fails."""
        if actor not in self._actors:
            return None  # several of its calls report one death
        self._actors.remove(actor)
        self._former.append(actor)
        self._calls = {ref: call for ref, call in self._calls.items() if call[0] is not actor}
        actor.end()
        for clip_id, work in actor.work.items():
            self._deaths[clip_id] += 1
            if self._deaths[clip_id] < _DEATHS:
                self._pending.append(work)
                continue
            error = WorkerError(
                f"clip {clip_id}: {_DEATHS} actors died while they worked on it, the last on node {actor}: {reason}",
                reason="crashed",
                hint="Is the memory of the nodes short? Use a smaller --batch-size.",
            )
            self._results.append(ClipResult(clip_id, error=error))
        self._false_starts += actor.stage != "ready"
        if actor.stage == "ready" or self._false_starts < _FALSE_STARTS:
            return None
        return ClusterError(
            f"node {actor}: {self._false_starts} actors died before they had loaded their model, the last: {reason}",
            hint="Is its memory short? Ray's logs on that node say more; --engine local shows errors as they are.",
        )
