"""Ray clusters: connecting to one within a bounded time, and knowing its nodes by name."""

from eri.cluster.connecting import Cluster, connect
from eri.cluster.needs import Needs
from eri.cluster.nodes import NodeFacts, at_node, refuse_stranger, this_node
from eri.cluster.tasks import Tasks, open_tasks

__all__ = ["Cluster", "Needs", "NodeFacts", "Tasks", "at_node", "connect", "open_tasks", "refuse_stranger", "this_node"]
