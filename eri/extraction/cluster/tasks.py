"""Independent pieces of work on the nodes of a Ray cluster, handed out as an executor hands them out."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from eri.config import Runtime
from eri.extraction.cluster.connecting import Cluster, Needs, NodeFacts, at_node, refuse_stranger, this_node
from eri.utils.errors import ClusterError, EriError, RunError

Result = TypeVar("Result")

_ATTEMPTS = 3
"""How often a piece of work is begun anew elsewhere, because its process or its node was lost."""


@dataclass(frozen=True)
class _Desk:
    """What a piece of work must find on its node.

    Attributes:
        folder: Where results are written.
        probe: A file in it that the driver has made, of a name that is nowhere else.
        place: The driver's own folder, in which relative paths mean what they do there.
        driver: What runs there.
    """

    folder: Path
    probe: str
    place: Path
    driver: NodeFacts


@dataclass(frozen=True)
class _Refused:
    """An error that a user is to see, on its way to the driver."""

    error: EriError


class Tasks:
    """Gives work to the nodes of a cluster.

    Attributes:
        room: How many pieces the cluster can do at a time, as it is now.

    Args:
        cluster: The cluster.
        runtime: Its device is used: a piece takes a core, and a GPU where there are any and it is not ``cpu``.
        desk: What each piece must find.

    Raises:
        ClusterError: No node has what a piece needs.
    """

    def __init__(self, cluster: Cluster, runtime: Runtime, desk: _Desk) -> None:
        import ray

        nodes = cluster.nodes()
        needs = Needs.of(replace(runtime, workers=1), nodes)
        self.room = needs.fit(nodes)
        self._desk = desk
        self._task: Any = ray.remote(_work).options(
            num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=_ATTEMPTS, scheduling_strategy="SPREAD"
        )
        self._running: set[Any] = set()

    def submit(self, work: Callable[..., Result], /, *arguments: Any) -> Future[Result]:
        """Have a node call a function, and return what will come of it.

        The future raises :class:`~eri.utils.errors.EriError` as the function does, with the node's name, and
        :class:`~eri.utils.errors.RunError` when the processes that worked on it died again and again.
        """
        import ray

        reference: Any = self._task.remote(self._desk, work, arguments)
        self._running.add(reference)
        found: Future[Result] = Future()

        def settle(done: Future[Any]) -> None:
            self._running.discard(reference)
            try:
                value = done.result()
            except ray.exceptions.RayTaskError as error:
                found.set_exception(error.cause if isinstance(error.cause, Exception) else error)
            except ray.exceptions.RayError as error:
                found.set_exception(_explain(error, self._desk.folder))
            else:
                if isinstance(value, _Refused):
                    found.set_exception(value.error)
                else:
                    found.set_result(value)

        reference.future().add_done_callback(settle)
        return found

    def cancel(self) -> None:
        """End what still runs."""
        import ray

        for reference in list(self._running):
            with suppress(ray.exceptions.RayError, ValueError, TypeError):
                ray.cancel(reference, force=True)


@contextmanager
def open_tasks(cluster: Cluster, runtime: Runtime, folder: Path) -> Iterator[Tasks]:
    """Give work to a cluster for the length of a block; what runs at its end is ended.

    Args:
        cluster: The cluster.
        runtime: See :class:`Tasks`.
        folder: Where the work writes; every node must see it under the same path.

    Raises:
        ClusterError: No node has what a piece of work needs.
        RunError: The folder cannot be written.
    """
    probe = folder / f".probe.{os.getpid()}.{secrets.token_hex(8)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}", hint="Choose another with --runs.") from error
    try:
        tasks = Tasks(cluster, runtime, _Desk(folder.absolute(), probe.name, Path.cwd(), this_node()))
        try:
            yield tasks
        finally:
            tasks.cancel()
    finally:
        probe.unlink(missing_ok=True)


def _work(desk: _Desk, work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result | _Refused:
    """Do a piece of work, on a node."""
    node = this_node()
    try:
        refuse_stranger(node, desk.driver)
        if not (desk.folder / desk.probe).exists():
            raise RunError(
                f"{desk.folder}: is not the driver's folder, or not there",
                hint="Every node must see runs and features under the same paths: put them on a file system that all "
                "nodes share, and name them with --runs and --features.",
            )
        with suppress(OSError):
            os.chdir(desk.place)
        return work(*arguments)
    except EriError as error:
        return _Refused(at_node(error, node))


def _explain(error: Exception, folder: Path) -> EriError:
    said = " ".join(str(error).split())[:300]
    if type(error).__name__ in ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError"):
        return RunError(
            f"{folder}: processes of the cluster that worked on it were killed: {said}",
            hint="Is memory short there? Go on with --resume.",
        )
    return ClusterError(f"the Ray cluster lost a piece of work: {said}", hint="Go on with --resume.")
