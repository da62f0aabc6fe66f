"""A Ray cluster: connecting to it or starting one on this machine, what its nodes have, and tasks that run there."""

from __future__ import annotations

import logging
import os
import platform
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from eri.config import Runtime
from eri.utils.errors import ClusterError, ConfigError, EriError, MissingDependencyError, RunError
from eri.utils.version import __version__

Result = TypeVar("Result")
_Error = TypeVar("_Error", bound=EriError)

_LOG = logging.getLogger(__name__)

SAME_VERSIONS = "Install the same versions of Python, Ray and eri on every node, then start Ray there again."

_HEAD_CHECK = 5.0  # seconds between two checks that the head is still there; as long may one of them take
_OBJECT_STORE = 100 << 20  # bytes, of a Ray that is started here: hardly anything travels through it
_ATTEMPTS = 3  # how often a task is begun again elsewhere, because its process or its node was lost

_HINT = (
    "Is it the address that `ray start --head` printed, and is this machine a node of that cluster? "
    "`ray status --address HOST:PORT` says. Without --address, Ray is started on this machine."
)

# Ray's own attempts at an address where nothing answers go on for minutes and cannot be broken off. So a process of its
# own runs this first, and is ended when it takes too long.
_TRY = """
import logging, sys, ray
from ray.exceptions import RayError
try:
    ray.init(sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
    sys.exit(str(error))
ray.shutdown()
"""


@dataclass(frozen=True)
class Needs:
    """What one process takes of a node: a core for each of its workers, and a GPU (0 or 1) where there are any."""

    cpus: int
    gpus: int

    @classmethod
    def of(cls, runtime: Runtime, nodes: Sequence[Mapping[str, float]]) -> Needs:
        """Return what a process needs on these nodes; :class:`ClusterError` where none has as much."""
        kind, _, number = runtime.device.partition(":")
        if number:
            raise ConfigError(
                f"device '{runtime.device}': on Ray every process is given a GPU of its own", hint="Use --device cuda."
            )
        gpus = any(node.get("GPU", 0) >= 1 for node in nodes)
        needs = cls(max(1, runtime.workers), int(kind == "cuda" or (kind == "auto" and gpus)))
        if not needs.fit(nodes):
            raise ClusterError(
                f"no node of the Ray cluster has {needs.cpus} CPUs{' and a GPU' if needs.gpus else ''}",
                hint="Use fewer --workers: an actor takes a core for each. --device cpu needs no GPU.",
            )
        return needs

    def fit(self, nodes: Sequence[Mapping[str, float]]) -> int:
        """Return how many processes there is room for.

        Examples:
            >>> Needs(2, 0).fit([{"CPU": 5.0}, {"CPU": 1.0}, {"CPU": 4.0, "GPU": 1.0}])
            4
            >>> Needs(1, 1).fit([{"CPU": 5.0}, {"CPU": 4.0, "GPU": 2.0}])
            2
        """
        rooms = (
            (node.get("CPU", 0) // self.cpus, node.get("GPU", 0) if self.gpus else node.get("CPU", 0)) for node in nodes
        )
        return sum(int(min(room)) for room in rooms)


@dataclass(frozen=True)
class NodeFacts:
    """A process on a node: name and address of the machine, Ray's name for it, and the versions there."""

    host: str
    address: str
    node_id: str
    python: str
    ray: str
    eri: str

    def __str__(self) -> str:
        return f"{self.host} ({self.address}, {self.node_id[:8]})"


def this_node() -> NodeFacts:
    """Return what runs here; to be called where Ray is connected."""
    import ray

    address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    node_id = ray.get_runtime_context().get_node_id()
    return NodeFacts(socket.gethostname(), address, node_id, platform.python_version(), ray.__version__, __version__)


def refuse_stranger(node: NodeFacts, here: NodeFacts) -> None:
    """Raise a :class:`ClusterError` where a node runs other versions than this process.

    Examples:
        >>> here = NodeFacts("a", "10.0.0.1", "0123456789", "3.11.9", "2.60.0", "0.1.0")
        >>> there = NodeFacts("b", "10.0.0.2", "abcdef0123", "3.11.4", "2.60.0", "0.2.0")
        >>> refuse_stranger(there, here)
        Traceback (most recent call last):
        eri.utils.errors.ClusterError: node b (10.0.0.2, abcdef01) has eri 0.2.0, this process 0.1.0...
    """
    # Releases of one Python, such as 3.11.4 and 3.11.9, understand each other.
    pairs = {
        "Python": (node.python.rpartition(".")[0], here.python.rpartition(".")[0]),
        "Ray": (node.ray, here.ray),
        "eri": (node.eri, here.eri),
    }
    differ = [f"{name} {there}, this process {own}" for name, (there, own) in pairs.items() if there != own]
    if differ:
        raise ClusterError(f"node {node} has {'; '.join(differ)}", hint=SAME_VERSIONS)


def at_node(error: _Error, node: NodeFacts | str) -> _Error:
    """Return an error of a node, now naming the node."""
    error.message = f"node {node}: {error.message}"
    return error


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is connected to; its name is its address, for messages."""

    name: str

    def nodes(self) -> list[dict[str, float]]:
        """Return what each living node has in all, such as ``{"CPU": 8.0, "GPU": 1.0}``."""
        import ray

        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return [node["Resources"] for node in nodes if node["Alive"]]


@contextmanager
def connect(address: str | None = None, *, patience: float = 12.0) -> Iterator[Cluster]:
    """Be connected to a Ray cluster for as long as a block runs.

    ``address`` is ``HOST:PORT`` as ``ray start --head`` printed it, or ``auto`` for the cluster that this machine is a
    node of. None takes the environment's ``RAY_ADDRESS``, which ``ray job submit`` sets; without that, Ray is started
    on this machine and stopped afterwards. A connection that the process has already is used, whatever the address, and
    left as it is. A cluster that does not answer within ``patience`` seconds is a :class:`ClusterError`.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "--engine ray needs the package ray, which is not installed", hint="pip install 'eri[ray]'"
        ) from error
    if ray.is_initialized():
        yield Cluster("of this process")
        return
    chosen = address or os.environ.get("RAY_ADDRESS")
    if chosen is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        _initialise("local", include_dashboard=False, object_store_memory=_OBJECT_STORE)
    else:
        _refuse_unreachable(chosen, patience)
        _initialise(chosen)
    try:
        with _watching_head(ray.get_runtime_context().gcs_address):
            yield Cluster(chosen or "on this machine")
    finally:
        ray.shutdown()


@contextmanager
def _watching_head(address: str) -> Iterator[None]:
    """Say, should the head die while a block runs, what that means: Ray itself ends this process a minute later."""
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(address, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(address: str, over: threading.Event) -> None:
    host, _, port = address.rpartition(":")
    missed = 0
    while missed < 2:
        if over.wait(_HEAD_CHECK):
            return
        try:
            socket.create_connection((host, int(port)), timeout=_HEAD_CHECK).close()
        except OSError:
            missed += 1
        else:
            missed = 0
    _LOG.error(
        "Ray cluster %s: its head no longer answers, and Ray ends this command within a minute. What was finished is "
        "kept: start the cluster again, and the same command goes on from there.",
        address,
    )


def _initialise(address: str, **settings: Any) -> None:
    import ray
    from ray.exceptions import RayError

    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **settings)
    except (ConnectionError, RuntimeError, ValueError, OSError, RayError) as error:
        raise ClusterError(f"Ray cluster {address}: {' '.join(str(error).split())}", hint=_HINT) from error


def _refuse_unreachable(address: str, patience: float) -> None:
    """Raise an error unless a process of its own can connect soon."""
    if address.startswith("ray://"):
        raise ConfigError(
            f"'{address}' is an address of Ray Client, which loses its work with the connection",
            hint="Start the command on a node of the cluster, with --address auto, or with `ray job submit`.",
        )
    command = [sys.executable, "-c", _TRY, address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired:
        raise ClusterError(f"Ray cluster {address}: nothing answers within {patience:g} s", hint=_HINT) from None
    if done.returncode:
        said = " ".join(done.stderr.strip()[-500:].split())
        raise ClusterError(f"Ray cluster {address}: {said}", hint=_HINT)


@dataclass(frozen=True)
class _Driver:
    """What a task must find on its node: the folder of results, and in it a file of a name that is nowhere else."""

    folder: Path
    probe: str
    place: Path  # the driver's working folder, in which relative paths mean what they do there
    facts: NodeFacts


class Tasks:
    """Runs independent tasks on the nodes of a cluster, submitted as to an executor.

    A task takes a core, and a GPU where there are any and the device is not ``cpu``.
    """

    def __init__(self, cluster: Cluster, runtime: Runtime, driver: _Driver) -> None:
        import ray

        needs = Needs.of(replace(runtime, workers=1), cluster.nodes())
        self._driver = driver
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

        reference: Any = self._task.remote(self._driver, work, arguments)
        self._running.add(reference)
        found: Future[Result] = Future()

        def settle(done: Future[Any]) -> None:
            self._running.discard(reference)
            try:
                value = done.result()
            except ray.exceptions.RayTaskError as error:
                value = error.cause if isinstance(error.cause, Exception) else error
            except ray.exceptions.RayError as error:
                value = _explain(error, self._driver.folder)
            if isinstance(value, Exception):
                found.set_exception(value)
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
    """Run tasks on a cluster for the length of a block; what runs at its end is ended.

    They write into a folder, which every node must see under the same path; :class:`RunError` where it cannot be
    written, :class:`ClusterError` where no node has what a task needs.
    """
    probe = folder / f".probe.{os.getpid()}.{secrets.token_hex(8)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror}", hint="Choose another with --runs.") from error
    try:
        tasks = Tasks(cluster, runtime, _Driver(folder.absolute(), probe.name, Path.cwd(), this_node()))
        try:
            yield tasks
        finally:
            tasks.cancel()
    finally:
        probe.unlink(missing_ok=True)


def _work(driver: _Driver, work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result | EriError:
    """Run a task, on a node; an error that a user is to see is returned, as Ray would wrap it if it were raised."""
    node = this_node()
    try:
        refuse_stranger(node, driver.facts)
        if not (driver.folder / driver.probe).exists():
            raise RunError(
                f"{driver.folder}: is not the driver's folder, or not there",
                hint="Every node must see runs and features under the same paths: put them on a file system that all "
                "nodes share, and name them with --runs and --features.",
            )
        with suppress(OSError):
            os.chdir(driver.place)
        return work(*arguments)
    except EriError as error:
        return at_node(error, node)


def _explain(error: Exception, folder: Path) -> EriError:
    said = " ".join(str(error).split())[:300]
    if type(error).__name__ in ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError"):
        return RunError(
            f"{folder}: processes of the cluster that worked on it were killed: {said}",
            hint="Is memory short there? Go on with --resume.",
        )
    return ClusterError(f"the Ray cluster lost a task: {said}", hint="Go on with --resume.")
