"""The line of a crew: hands clips to actors, a bounded number at a time, and again to others when an actor dies."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from eri.extraction.engine import Settled, Task
from eri.extraction.ray.actor import Answer
from eri.extraction.ray.crew import Crew, Member
from eri.extraction.stages import StageClock, StageShares
from eri.utils.errors import WorkerError

_DEATHS = 3
"""Actors that may die while they have a clip, before the clip is taken for what killed them."""


@dataclass(eq=False)
class Attempt:
    """A clip on its way.

    Attributes:
        task: The clip.
        deaths: Actors that died while they had it.
    """

    task: Task
    deaths: int = 0

    @property
    def suspect(self) -> bool:
        """Whether it has to be alone with its actor: the next death is to be its own, or shown to be none of its."""
        return self.deaths >= _DEATHS - 1


class RayLine:
    """A line whose stages are the actors of a crew.

    Args:
        crew: The actors.
        clips: How many clips there are to do; no more actors than that are started.
        limit: How many clips an actor has at a time: what it works on, and enough to wait for no one.
        workers: Worker processes of each actor.
        on_settled: Called with what became of each clip.
    """

    def __init__(self, crew: Crew, clips: int, limit: int, workers: int, on_settled: Callable[[Settled], None]) -> None:
        self._crew = crew
        self._left = clips
        self._limit = limit
        self._workers = workers
        self._on_settled = on_settled
        self._attempts: dict[str, Attempt] = {}
        self._again: deque[Attempt] = deque()

    @property
    def has_room(self) -> bool:
        """Whether another clip may be submitted."""
        return not self._again and self._free(suspect=False) is not None

    @property
    def busy(self) -> bool:
        """Whether any clip has been submitted and not told of."""
        return bool(self._attempts)

    def submit(self, task: Task) -> None:
        """Give a clip to the actor that has the fewest."""
        attempt = self._attempts[task.clip.id] = Attempt(task)
        self._again.append(attempt)
        self._hand_out()

    def advance(self) -> None:
        """Keep the crew complete, hand out what dead actors left, and wait for answers.

        Raises:
            EriError: Something that concerns every clip, with the node where it was met.
            RuntimeError: A bug; it names the node and the clip.
        """
        self._crew.keep(self._left)
        self._hand_out()
        self._crew.poll()

    def shares(self, seconds: float) -> StageShares | None:
        """Return how busy each stage was, as means over the actors and the time that each was ready."""
        clock, present = StageClock(), 0.0
        for member in (*self._crew.former, *self._crew.members):
            if member.began is not None:
                present += (member.ended or time.monotonic()) - member.began
                for stage, busy in member.seconds.items():
                    clock.add(stage, busy)
        return clock.shares(present, self._workers)

    def lose(self, member: Member, reason: str) -> None:
        """Take back what a dead actor had; a clip that has cost as many actors as it may fails."""
        attempts: list[Attempt] = member.tasks
        for attempt in attempts:
            attempt.deaths += 1
            if attempt.deaths < _DEATHS:
                self._again.append(attempt)
                continue
            clip_id = attempt.task.clip.id
            error = WorkerError(
                f"clip {clip_id}: {attempt.deaths} actors died while they worked on it, the last on node "
                f"{member.place}: {reason}",
                reason="crashed",
                hint="Is the memory of the nodes short? Use a smaller --batch-size.",
            )
            self._settle(Settled(clip_id, error=error))

    def _hand_out(self) -> None:
        for _ in range(len(self._again)):
            attempt = self._again.popleft()
            member = self._free(suspect=attempt.suspect)
            if member is None:
                self._again.append(attempt)
                continue
            member.since = member.since if member.tasks else time.monotonic()
            member.tasks.append(attempt)
            ref = member.actor.work_on.remote(attempt.task)
            self._crew.call(member, ref, partial(self._take, member, attempt))

    def _free(self, *, suspect: bool) -> Member | None:
        """Return the actor with the fewest clips that may have another, or, for a suspect, one that has none."""
        limit = 1 if suspect else self._limit
        members = [
            member
            for member in self._crew.ready
            if len(member.tasks) < limit and not any(attempt.suspect for attempt in member.tasks)
        ]
        return min(members, key=lambda member: len(member.tasks), default=None)

    def _take(self, member: Member, attempt: Attempt, answer: Answer) -> None:
        member.tasks.remove(attempt)
        member.seconds = answer.seconds
        settled = answer.settled
        # An actor that died after it had written the features could not say that they were made just now.
        found_again = settled.entry is not None and attempt.deaths > 0
        self._settle(replace(settled, computed=settled.computed or found_again))

    def _settle(self, settled: Settled) -> None:
        del self._attempts[settled.clip_id]
        held = settled.entry is None and settled.error is None
        self._left -= not held
        self._on_settled(settled)
