"""A Ray cluster of several nodes on this machine, for tests that use and break it: `ray start` processes on loopback.

Each node has an address of its own in 127.0.0.0/8, one core, and a small object store; all logs are in one temporary
folder, which goes with the cluster.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.factories.processes import wait_until

_STORE = 100 << 20
_STARTING = 120.0


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        parents.setdefault(parent, []).append(int(path.parent.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def workers(log: Path) -> set[int]:
    """Return the processes that have prepared clips, see :func:`tests.factories.extractors.logged`."""
    return {int(line.split()[1]) for line in log.read_text().splitlines()} if log.exists() else set()


def actors(log: Path) -> set[int]:
    """Return the processes that live worker processes belong to."""
    found = set()
    for pid in workers(log):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found.add(int(parent))
    return found


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


class RayNode:
    """One node: a `ray start --block` process and all that it starts.

    Attributes:
        process: That process.
        address: Of the node.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path, address: str) -> None:
        self.address = address
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                command, stdout=stream, stderr=subprocess.STDOUT, env=environment, start_new_session=True
            )

    def kill(self) -> None:
        """End it as a loss of power would: every process at once."""
        for pid in (*descendants(self.process.pid), self.process.pid):
            kill(pid)
        self.process.wait()


class RayCluster:
    """Nodes that can be added and killed; use it as a context.

    Attributes:
        address: Of the cluster.
        folder: Of its logs.
    """

    def __init__(self, nodes: int = 2) -> None:
        self.nodes: list[RayNode] = []
        self.address = ""
        self._count = nodes

    def __enter__(self) -> Self:
        # Not under pytest's own folder: paths of sockets may have about a hundred characters.
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        try:
            for _ in range(self._count):
                self.add()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def add(self, *, wrapper: tuple[str, ...] = (), **variables: str) -> RayNode:
        """Start a node; the first is the head."""
        number = len(self.nodes)
        address = f"127.0.0.{number + 2}"
        options = [f"--node-ip-address={address}", "--num-cpus=1", f"--object-store-memory={_STORE}"]
        if number == 0:
            options += ["--head", "--port=0", "--include-dashboard=false", f"--temp-dir={self.folder}"]
        else:
            options += [f"--address={self.address}"]
        command = [*wrapper, sys.executable, "-m", "ray.scripts.scripts", "start", *options]
        # Ray asks for a token, but not of whoever names an address, once it finds one in the home folder.
        environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", **variables}
        log = self.folder / f"node{number}.log"
        node = RayNode([*command, "--block", "--disable-usage-stats"], environment, log, address)
        self.nodes.append(node)
        wait_until(lambda: "runtime started" in log.read_text(), _STARTING)
        if number == 0:  # the head says that it has started before it writes down where
            written = self.folder / "ray_current_cluster"
            wait_until(lambda: written.exists() and written.read_text().strip(), _STARTING)
            self.address = written.read_text().strip()
        return node

    def stop(self) -> None:
        """End every process of every node."""
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def connected_cluster() -> Iterator[RayCluster]:
    """Start two nodes and connect this process to them, for the length of a block."""
    import ray

    with RayCluster() as started:
        ray.init(started.address, log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield started
        finally:
            ray.shutdown()
