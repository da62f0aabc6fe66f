"""The crew: the actors of one extractor, started where the cluster has room, watched, and replaced when they die."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from eri.config import ExtractorConfig, Runtime
from eri.extraction.cluster.connecting import Cluster, Needs, NodeFacts, at_node, refuse_stranger, this_node
from eri.extraction.ray.actor import Desk, ModelActor, ModelFacts
from eri.extraction.stages import Stage
from eri.features.records import Extractor
from eri.utils.errors import ClusterError, EriError

HEARTBEAT = 0.5
"""Seconds after which a crew that hears nothing looks after its limits."""

_PATIENCE = 120.0
"""Seconds that the cluster has to find room for an actor while none is at work."""

_LOADING = 900.0
"""Seconds that an actor has to load its model: weights may have to be fetched first."""

_STALLED = 180.0
"""Seconds beyond a clip's timeout without an answer after which an actor is taken for dead."""

_RECOUNT = 5.0
"""Seconds between two looks at what the cluster has in all."""

_FALSE_STARTS = 3
"""Actors that may die one after the other before any of them is ready."""

_LEAVING = 10.0
"""Seconds that actors have to end their worker processes."""


@dataclass(eq=False)
class Member:
    """One actor.

    Attributes:
        actor: Ray's handle.
        stage: How far it is.
        since: When it came so far, or was last heard of.
        node: Where it is, once that is known.
        tasks: What it has been given and has not answered.
        seconds: How busy its stages have been.
        began: When it was ready; None before.
        ended: When it died or left; None before.
    """

    actor: Any
    stage: Literal["starting", "loading", "joining", "ready"] = "starting"
    since: float = field(default_factory=time.monotonic)
    node: NodeFacts | None = None
    tasks: list[Any] = field(default_factory=list)
    seconds: Mapping[Stage, float] = field(default_factory=dict)
    began: float | None = None
    ended: float | None = None

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return "of a cluster that has not placed it yet" if self.node is None else str(self.node)


@dataclass(frozen=True, eq=False)
class _Call:
    member: Member
    then: Callable[[Any], None]


class Crew:
    """The actors of one extractor.

    Attributes:
        model: What they have loaded; None before the first has.
        members: Those that are at work or on their way.
        former: Those that died.

    Args:
        cluster: Where they live.
        config: The extractor.
        runtime: Device, batch size, workers and timeout.
        create: Makes the extractor.
        threads: Calls that an actor may have at a time.
    """

    def __init__(
        self,
        cluster: Cluster,
        config: ExtractorConfig,
        runtime: Runtime,
        create: Callable[[ExtractorConfig, Runtime], Extractor],
        threads: int,
    ) -> None:
        self.model: ModelFacts | None = None
        self.members: list[Member] = []
        self.former: list[Member] = []
        self._cluster = cluster
        self._order = (config, runtime, create)
        self._timeout = runtime.timeout
        self._needs = Needs.of(runtime, cluster.nodes())
        self._actors = ray.remote(ModelActor).options(
            num_cpus=self._needs.cpus,
            num_gpus=self._needs.gpus,
            max_concurrency=threads + 2,  # the others are for joining and leaving
            scheduling_strategy="SPREAD",
        )
        self._desk: Desk | None = None
        self._on_lost: Callable[[Member, str], None] = lambda member, reason: None
        self._here = this_node()
        self._calls: dict[Any, _Call] = {}
        self._room = (0.0, 0)
        self._false_starts = 0
        self._placed = time.monotonic()

    @property
    def ready(self) -> list[Member]:
        """Those that may be given clips."""
        return [member for member in self.members if member.stage == "ready"]

    def open(self, desk: Desk, on_lost: Callable[[Member, str], None]) -> None:
        """Have the members sit down at a desk, now and whenever one comes.

        Args:
            desk: What they find there.
            on_lost: Called with each that died and why, before it is forgotten.
        """
        self._desk, self._on_lost = desk, on_lost
        for member in self.members:
            if member.stage == "joining":
                self._seat(member)

    def keep(self, wanted: int) -> None:
        """Start actors until there are as many as wanted or as the cluster has room for."""
        counted, room = self._room
        now = time.monotonic()
        if now - counted > _RECOUNT:
            room = self._needs.fit(self._cluster.nodes())
            self._room = (now, room)
        for _ in range(min(wanted, room) - len(self.members)):
            member = Member(self._actors.remote())
            self.members.append(member)
            self.call(member, member.actor.introduce.remote(Path.cwd()), partial(self._greet, member))

    def call(self, member: Member, ref: Any, then: Callable[[Any], None]) -> None:
        """Have something done with the answer of a call."""
        self._calls[ref] = _Call(member, then)

    def poll(self) -> None:
        """Wait for answers, for a heartbeat at most, and do what is to be done with them.

        Raises:
            ClusterError: The cluster has no room, its nodes have other versions, or actors die before they are ready.
            EriError: Something that concerns every clip.
        """
        if self._calls:
            done, _ = ray.wait(list(self._calls), num_returns=1, timeout=HEARTBEAT)
            if done:
                done, _ = ray.wait(list(self._calls), num_returns=len(self._calls), timeout=0)
            self._take(done)
        else:
            time.sleep(HEARTBEAT)
        self._look_after_limits()

    def dismiss(self) -> None:
        """Have all members leave, and end those that do not."""
        leaving = [member.actor.leave.remote() for member in self.members if member.stage == "ready"]
        try:
            if leaving:
                ray.wait(leaving, num_returns=len(leaving), timeout=_LEAVING)
        finally:
            for member in self.members:
                _end(member)
            self.former += self.members
            self.members.clear()

    def _take(self, done: Sequence[Any]) -> None:
        """Take answers, those that are no errors first: what a run had achieved is told before it ends."""
        troubles: list[tuple[Member, RayError]] = []
        for ref in done:
            call = self._calls.pop(ref)
            try:
                answer = ray.get(ref, timeout=HEARTBEAT)
            except RayError as error:
                troubles.append((call.member, error))
            else:
                call.member.since = time.monotonic()
                call.then(answer)
        for member, trouble in troubles:
            if isinstance(trouble, RayTaskError):
                raise self._explained(member, trouble)
            if not isinstance(trouble, RayActorError):
                raise ClusterError(f"node {member.place}: {trouble}") from trouble
            if trouble.actor_init_failed:
                raise _unusable(str(trouble), *re.findall(r"ip=([^,)]+)", str(trouble))[:1]) from trouble
            self._lose(member, _reason(trouble))

    def _greet(self, member: Member, node: NodeFacts) -> None:
        member.node = node
        refuse_stranger(node, self._here)
        member.stage = "loading"
        ref = member.actor.load.remote(*self._order)
        self.call(member, ref, partial(self._compare, member))

    def _compare(self, member: Member, model: ModelFacts) -> None:
        """Take a model, unless it is another than that of the first member."""
        if self.model is None:
            self.model = model
        elif self.model.identity != model.identity:
            keys = {*self.model.identity, *model.identity}
            differ = sorted(key for key in keys if self.model.identity.get(key) != model.identity.get(key))
            raise ClusterError(
                f"node {member.place}: its {model.name} is another than that of the first node: {', '.join(differ)}",
                hint="Its features would not belong together. Give every node the same weights and libraries.",
            )
        member.stage = "joining"
        if self._desk is not None:
            self._seat(member)

    def _seat(self, member: Member) -> None:
        member.since = time.monotonic()
        self.call(member, member.actor.sit_down.remote(self._desk), lambda _: self._welcome(member))

    def _welcome(self, member: Member) -> None:
        member.stage = "ready"
        member.began = time.monotonic()
        self._false_starts = 0

    def _look_after_limits(self) -> None:
        now = time.monotonic()
        if not self.members or any(member.stage != "starting" for member in self.members):
            self._placed = now if self.members else self._placed
        if now - self._placed > _PATIENCE:
            what = f"{self._needs.cpus} free CPUs{' and a free GPU' if self._needs.gpus else ''}"
            raise ClusterError(
                f"no node of the Ray cluster had {what} within {_PATIENCE:.0f} s",
                hint="`ray status` tells what others use; run again when they have ended.",
            )
        limits = {"starting": float("inf"), "loading": _LOADING, "joining": _LOADING, "ready": self._timeout + _STALLED}
        for member in list(self.members):
            waiting = member.tasks if member.stage == "ready" else member.stage != "joining" or self._desk
            if waiting and now - member.since > limits[member.stage]:
                self._lose(member, f"nothing was heard of it for {limits[member.stage]:.0f} s")

    def _lose(self, member: Member, reason: str) -> None:
        if member not in self.members:
            return  # several of its calls tell of one death
        self.members.remove(member)
        self.former.append(member)
        self._calls = {ref: call for ref, call in self._calls.items() if call.member is not member}
        _end(member)
        if member.stage == "ready":
            self._on_lost(member, reason)
            return
        self._false_starts += 1
        if self._false_starts >= _FALSE_STARTS:
            raise ClusterError(
                f"node {member.place}: {self._false_starts} actors died before they had loaded their model, the last: "
                f"{reason}",
                hint="Is its memory short? Ray's logs on that node tell more; --engine local shows errors as they are.",
            )

    def _explained(self, member: Member, error: RayTaskError) -> Exception:
        """Return the error that a call ended with, as an error of its node."""
        cause = error.cause
        if isinstance(cause, EriError):
            return at_node(cause, member.place)
        bug = RuntimeError(f"node {member.place}: {cause}")
        bug.__cause__ = error
        return bug


def _unusable(said: str, address: str = "of unknown address") -> ClusterError:
    """Return the error for a node on which not even the actor could be imported."""
    last = said.strip().splitlines()[-1]
    return ClusterError(
        f"node {address}: eri cannot be used there: {last}",
        hint="Install the same versions of Python, Ray and eri on every node, then start Ray there again.",
    )


def _end(member: Member) -> None:
    member.ended = time.monotonic()
    ray.kill(member.actor, no_restart=True)


def _reason(error: RayActorError) -> str:
    """Return the sentences of Ray that say why, in one line and without its field of names."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("\t")]
    return " ".join(lines)[:400]
