"""What changed between two graphs: pure comparison of specs, no matter by which kind of growth."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from dagrow.graph.dag import Dag
from dagrow.ops import Op
from dagrow.spec.graph import EdgeId, GraphSpec, InputSpec, NodeSpec

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True)
class Difference(Generic[K, V]):
    """How one table of a graph differs from another.

    Attributes:
        added: entries that only the second has.
        removed: entries that only the first has.
        changed: entries of both that are declared differently, as (before, after).
    """

    added: dict[K, V]
    removed: dict[K, V]
    changed: dict[K, tuple[V, V]]

    @classmethod
    def of(cls, before: Mapping[K, V], after: Mapping[K, V]) -> Difference[K, V]:
        """Compares two tables, each part in the order of the table that it comes from."""
        return cls(
            added={key: value for key, value in after.items() if key not in before},
            removed={key: value for key, value in before.items() if key not in after},
            changed={
                key: (before[key], value) for key, value in after.items() if key in before and before[key] != value
            },
        )

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True)
class Changes:
    """What changed from one graph to another; false if nothing did.

    Attributes:
        inputs: by name.
        nodes: by name, as they are declared.
        edges: by their two ends.
        sizes: features (before, after) of the nodes in both graphs where they differ, declared or inferred.
        reordered: concat nodes in both graphs whose common edges come in another order.
        outputs: (before, after) where they differ.
    """

    inputs: Difference[str, InputSpec]
    nodes: Difference[str, NodeSpec]
    edges: Difference[EdgeId, Op]
    sizes: dict[str, tuple[int, int]]
    reordered: tuple[str, ...]
    outputs: tuple[tuple[str, ...], tuple[str, ...]] | None

    def __bool__(self) -> bool:
        return any((self.inputs, self.nodes, self.edges, self.sizes, self.reordered, self.outputs))


def changes(before: GraphSpec, after: GraphSpec) -> Changes:
    """Compares two graphs by the names of their nodes.

    Raises:
        SpecError: if one of them does not hold together.
    """
    old, new = Dag.of(before), Dag.of(after)
    common = [name for name in new.order if name in before.nodes]
    return Changes(
        inputs=Difference.of(before.inputs, after.inputs),
        nodes=Difference.of(before.nodes, after.nodes),
        edges=Difference.of(before.edges, after.edges),
        sizes={name: (old.size(name), new.size(name)) for name in common if old.size(name) != new.size(name)},
        reordered=tuple(name for name in common if new.node(name).merge == "concat" and _reordered(old, new, name)),
        outputs=(before.outputs, after.outputs) if before.outputs != after.outputs else None,
    )


def _reordered(old: Dag, new: Dag, name: str) -> bool:
    first, second = old.incoming[name], new.incoming[name]
    return [edge for edge in first if edge in second] != [edge for edge in second if edge in first]
