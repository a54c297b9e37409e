"""Nodes and changes in words, for tables and pictures."""

from __future__ import annotations

from dagrow.graph import Changes
from dagrow.spec.graph import EdgeId, NodeSpec


def operations(node: NodeSpec) -> list[str]:
    """What a node does after merging its edges, in that order; what it leaves out is left out."""
    parts = [f"{node.norm} norm"] if node.norm != "none" else []
    parts += [node.activation] if node.activation != "identity" else []
    parts += [node.attention.plain] if node.attention is not None else []
    parts += [f"pool {node.pool.plain}"] if node.pool is not None else []
    parts += ["flatten"] if node.flatten else []
    parts += ["tokens"] if node.tokens else []
    parts += [f"dropout {node.dropout:g}"] if node.dropout else []
    return parts


def brief(change: Changes) -> str:
    """A change in short: ``h +4``, ``new a``, ``removed x → y``; the edges of a new node go without saying."""
    new = {**change.inputs.added, **change.nodes.added}
    old = {**change.inputs.removed, **change.nodes.removed}
    parts = [f"new {name}" for name in new]
    parts += [f"{name} {after - before:+d}".replace("-", "−") for name, (before, after) in change.sizes.items()]
    parts += [f"new {_arrow(edge)}" for edge in change.edges.added if not {*edge} & {*new}]
    parts += [f"changed {_arrow(edge)}" for edge in change.edges.changed]
    parts += [f"changed {name}" for name in change.nodes.changed if name not in change.sizes]
    parts += [f"removed {name}" for name in old]
    parts += [f"removed {_arrow(edge)}" for edge in change.edges.removed if not {*edge} & {*old}]
    return ", ".join(parts)


def _arrow(edge: EdgeId) -> str:
    return f"{edge.source} → {edge.target}"
