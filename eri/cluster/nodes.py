"""The nodes of a Ray cluster: what runs there, and errors that name them."""

from __future__ import annotations

import os
import platform
import socket
from dataclasses import dataclass
from typing import TypeVar

import eri
from eri.errors import ClusterError, EriError

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
        eri=eri.__version__,
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
        eri.errors.ClusterError: node b (10.0.0.2, abcdef01) has eri 0.2.0, this process 0.1.0...
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
