"""What differs between two graphs, as a table: ``+`` is new, ``-`` is gone, ``~`` is another."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from dagrow.graph import Changes, Dag, changes, cost
from dagrow.ops import Op
from dagrow.report.labels import operations
from dagrow.report.table import table
from dagrow.spec import GraphSpec, graph_hash

Row = tuple[str, ...]

_HEADER = ("", "", "before", "after", "")


@dataclass(frozen=True)
class GraphDiff:
    """Two graphs side by side; false if they are the same. Print it.

    Attributes:
        before: the first graph.
        after: the second.
        names: what to call them.
    """

    before: GraphSpec
    after: GraphSpec
    names: tuple[str, str] = ("before", "after")

    @cached_property
    def changes(self) -> Changes:
        """What changed, part by part."""
        return changes(self.before, self.after)

    def __bool__(self) -> bool:
        return graph_hash(self.before) != graph_hash(self.after)

    def __str__(self) -> str:
        ends = zip(("---", "+++"), self.names, (self.before, self.after), strict=True)
        title = [f"{mark} {name}  {graph_hash(spec)[:12]}" for mark, name, spec in ends]
        rows = [*self._nodes(), *self._edges(), *self._order()]
        shown = table(_HEADER, [*rows, *self._costs()], left=4) if rows else "the same graph"
        return "\n".join([*title, shown])

    def _nodes(self) -> list[Row]:
        found, old, new = self.changes, Dag.of(self.before), Dag.of(self.after)
        rows: list[Row] = []
        for name in found.inputs.removed:
            rows.append(("-", f"input {name}", _node(old, name), "", ""))
        for name in found.inputs.added:
            rows.append(("+", f"input {name}", "", _node(new, name), ""))
        for name in found.inputs.changed:
            rows.append(("~", f"input {name}", _node(old, name), _node(new, name), ""))
        for name in (name for name in old.order if name in found.nodes.removed):
            rows.append(("-", f"node {name}", _node(old, name), "", f"{-old.size(name):+d}"))
        for name in new.order:
            if name in found.nodes.added:
                rows.append(("+", f"node {name}", "", _node(new, name), f"{new.size(name):+d}"))
            elif name in found.sizes or name in found.nodes.changed:
                sizes = _difference(old.size(name), new.size(name))
                rows.append(("~", f"node {name}", _node(old, name), _node(new, name), sizes))
        return rows

    def _edges(self) -> list[Row]:
        edges = self.changes.edges
        rows: list[Row] = [("-", f"edge {edge}", _edge(op), "", "") for edge, op in edges.removed.items()]
        rows += [("+", f"edge {edge}", "", _edge(op), "") for edge, op in edges.added.items()]
        rows += [("~", f"edge {edge}", *map(_edge, both), "") for edge, both in edges.changed.items()]
        return rows

    def _order(self) -> list[Row]:
        rows: list[Row] = []
        for name in self.changes.reordered:
            orders = [[e.source for e in spec.edges if e.target == name] for spec in (self.before, self.after)]
            rows.append(("~", f"order in {name}", *map(", ".join, orders), ""))
        if set(self.before.inputs) == set(self.after.inputs) and list(self.before.inputs) != list(self.after.inputs):
            rows.append(("~", "inputs", *(", ".join(spec.inputs) for spec in (self.before, self.after)), ""))
        if self.changes.outputs:
            rows.append(("~", "outputs", *map(", ".join, self.changes.outputs), ""))
        return rows

    def _costs(self) -> list[Row]:
        sizes = [cost(Dag.of(spec)) for spec in (self.before, self.after)]
        named = zip(("parameters", "multiply-adds"), *sizes, strict=True)
        return [("" if a == b else "~", name, str(a), str(b), _difference(a, b)) for name, a, b in named]


def _node(dag: Dag, name: str) -> str:
    if name in dag.spec.inputs:
        return "[" + ", ".join(map(str, dag.output(name))) + "]"
    node = dag.node(name)
    return ", ".join([f"size {dag.size(name)}", *([node.joined] if node.merge != "sum" else []), *operations(node)])


def _edge(op: Op) -> str:
    fields = op.model_dump(mode="json", exclude_defaults=True)
    return " ".join([op.name, *(f"{key}={value}" for key, value in fields.items() if key != "op")])


def _difference(before: int, after: int) -> str:
    return "" if before == after else f"{after - before:+d}"
