"""The identity of a graph: one hash for all files that mean the same network, another for any that does not."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from dagrow.spec.graph import GraphSpec
from dagrow.spec.writing import plain_graph

_FORM = "dagrow graph 1"
"""Goes into the hash, so that another canonical form can never give an equal one."""


def graph_hash(spec: GraphSpec) -> str:
    """SHA-256 of the canonical form of a graph, as 64 hexadecimal digits.

    It depends neither on the order of entries in a file nor on the spelling of a default. It does depend on what
    the order of entries says: the features of a concat lie in the order of its edges, and several inputs are
    arguments of the network in their order.
    """
    text = json.dumps(canonical_graph(spec), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(f"{_FORM}\n{text}".encode()).hexdigest()


def canonical_graph(spec: GraphSpec) -> dict[str, Any]:
    """The graph as plain data, fields at their default left out; order stands in lists, where it has a meaning."""
    concats = [name for name, node in spec.nodes.items() if node.merge == "concat"]
    return {
        **plain_graph(spec),
        "order of inputs": list(spec.inputs),
        "order of concats": {name: [edge.source for edge in spec.edges if edge.target == name] for name in concats},
    }
