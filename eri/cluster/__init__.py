"""Ray clusters: connecting to one within a bounded time, and knowing its nodes by name."""

from eri.cluster.connecting import Cluster, connect
from eri.cluster.nodes import NodeFacts, at_node, refuse_stranger, this_node

__all__ = ["Cluster", "NodeFacts", "at_node", "connect", "refuse_stranger", "this_node"]
