"""Connecting to a Ray cluster, or starting one on this machine for as long as it is needed.

Ray's own attempts at an address where nothing answers go on for minutes and cannot be broken off. So a process of its
own tries first, and is ended when it takes too long.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from eri.config import Runtime
from eri.utils.errors import ClusterError, ConfigError, EriError, MissingDependencyError
from eri.utils.version import __version__


@dataclass(frozen=True)
class Needs:
    """What one process takes of a node: a core for each of its workers, and a GPU where there are any.

    Attributes:
        cpus: Cores.
        gpus: 0 or 1.
    """

    cpus: int
    gpus: int

    @classmethod
    def of(cls, runtime: Runtime, nodes: Sequence[Mapping[str, float]]) -> Needs:
        """Return what a process needs on these nodes.

        Raises:
            ConfigError: A GPU by number: Ray gives each actor its own.
            ClusterError: No node has as much.
        """
        kind, _, number = runtime.device.partition(":")
        if number:
            raise ConfigError(
                f"device '{runtime.device}': on Ray every process is given a GPU of its own", hint="Use --device cuda."
            )
        gpus = any(node.get("GPU", 0) >= 1 for node in nodes)
        needs = cls(max(1, runtime.workers), int(kind == "cuda" or (kind == "auto" and gpus)))
        if not needs.fit(nodes):
            what = f"{needs.cpus} CPUs{' and a GPU' if needs.gpus else ''}"
            raise ClusterError(
                f"no node of the Ray cluster has {what}",
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
        return sum(
            min(
                int(node.get("CPU", 0) // self.cpus),
                int(node.get("GPU", 0)) if self.gpus else int(node.get("CPU", 0)),
            )
            for node in nodes
        )


_Error = TypeVar("_Error", bound=EriError)


@dataclass(frozen=True)
class NodeFacts:
    """A process on a node.

    Attributes:
        host: Name of the machine.
        address: Of the node in the cluster.
        node_id: Ray's name for it.
        pid: Of the process.
        python: Version.
        ray: Version.
        eri: Version.
    """

    host: str
    address: str
    node_id: str
    pid: int
    python: str
    ray: str
    eri: str

    def __str__(self) -> str:
        return f"{self.host} ({self.address}, {self.node_id[:8]})"


def this_node() -> NodeFacts:
    """Return what runs here; to be called where Ray is connected."""
    import ray

    return NodeFacts(
        host=socket.gethostname(),
        address=ray.util.get_node_ip_address(),  # type: ignore[no-untyped-call]
        node_id=ray.get_runtime_context().get_node_id(),
        pid=os.getpid(),
        python=platform.python_version(),
        ray=ray.__version__,
        eri=__version__,
    )


def refuse_stranger(node: NodeFacts, here: NodeFacts) -> None:
    """Raise an error where a node runs other versions than this process.

    Raises:
        ClusterError: It names the node and each version that differs.

    Examples:
        >>> here = NodeFacts("a", "10.0.0.1", "0123456789", 1, "3.11.9", "2.60.0", "0.1.0")
        >>> there = NodeFacts("b", "10.0.0.2", "abcdef0123", 2, "3.11.4", "2.60.0", "0.2.0")
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
        raise ClusterError(
            f"node {node} has {'; '.join(differ)}",
            hint="Install the same versions of Python, Ray and eri on every node, then start Ray there again.",
        )


def at_node(error: _Error, node: NodeFacts | str) -> _Error:
    """Return an error of a node, now naming the node.

    Examples:
        >>> print(at_node(EriError("no weights", hint="Fetch them."), "b (10.0.0.2)"))
        node b (10.0.0.2): no weights
          → Fetch them.
    """
    error.message = f"node {node}: {error.message}"
    return error


_PATIENCE = 12.0
"""Seconds that a cluster has to answer."""

_LOOK = 5.0
"""Seconds between two looks at whether the head is still there; as long may one of them take."""

_LOG = logging.getLogger(__name__)

_OBJECT_STORE = 100 << 20
"""Bytes of the object store of a Ray that is started here: hardly anything travels through it."""

_HINT = (
    "Is it the address that `ray start --head` printed, and is this machine a node of that cluster? "
    "`ray status --address HOST:PORT` says. Without --address, Ray is started on this machine."
)


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is connected to.

    Attributes:
        name: Its address, for messages.
    """

    name: str

    def nodes(self) -> list[dict[str, float]]:
        """Return what each living node has in all, such as ``{"CPU": 8.0, "GPU": 1.0}``."""
        import ray

        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return [node["Resources"] for node in nodes if node["Alive"]]


@contextmanager
def connect(address: str | None = None) -> Iterator[Cluster]:
    """Be connected to a Ray cluster for as long as a block runs.

    A connection that the process has already is used, whatever the address, and left as it is.

    Args:
        address: ``HOST:PORT`` as ``ray start --head`` printed it, or ``auto`` for the cluster that this machine is a
            node of. None takes the environment's ``RAY_ADDRESS``, which ``ray job submit`` sets; without that, Ray is
            started on this machine and stopped afterwards.

    Raises:
        ClusterError: Nothing answers there, or its versions of Ray and Python are others than here.
        ConfigError: An address that cannot be used.
        MissingDependencyError: Ray is not installed.
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
        _refuse_unreachable(chosen)
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
        if over.wait(_LOOK):
            return
        try:
            socket.create_connection((host, int(port)), timeout=_LOOK).close()
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


def _refuse_unreachable(address: str) -> None:
    """Raise an error unless a process of its own can connect soon."""
    if address.startswith("ray://"):
        raise ConfigError(
            f"'{address}' is an address of Ray Client, which loses its work with the connection",
            hint="Start the command on a node of the cluster, with --address auto, or with `ray job submit`.",
        )
    command = [sys.executable, "-m", "eri.extraction.cluster.checking", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise ClusterError(f"Ray cluster {address}: nothing answers within {_PATIENCE:.0f} s", hint=_HINT) from None
    if done.returncode:
        said = " ".join((done.stdout.strip() or done.stderr.strip()[-500:]).split())
        raise ClusterError(f"Ray cluster {address}: {said}", hint=_HINT)
