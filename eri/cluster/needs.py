"""What one process of a cluster takes of its node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eri.config import Runtime
from eri.errors import ClusterError, ConfigError


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
