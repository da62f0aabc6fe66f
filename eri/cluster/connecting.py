"""Connecting to a Ray cluster, or starting one on this machine for as long as it is needed.

Ray's own attempts at an address where nothing answers go on for minutes and cannot be broken off. So a process of its
own tries first, and is ended when it takes too long.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from eri.errors import ClusterError, ConfigError, MissingDependencyError

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
    command = [sys.executable, "-m", "eri.cluster.checking", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise ClusterError(f"Ray cluster {address}: nothing answers within {_PATIENCE:.0f} s", hint=_HINT) from None
    if done.returncode:
        said = " ".join((done.stdout.strip() or done.stderr.strip()[-500:]).split())
        raise ClusterError(f"Ray cluster {address}: {said}", hint=_HINT)
