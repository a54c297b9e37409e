"""The change from one graph to another as plain data: what a journal keeps, and what a replay applies."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from pydantic import Field, ValidationError

from dagrow.errors import Problem, SpecError
from dagrow.spec.graph import GraphSpec, SpecPart
from dagrow.spec.writing import plain_graph

Table = Mapping[str, Any]


class TablePatch(SpecPart):
    """What changes in one section of a graph; entries are as in a graph file."""

    removed: tuple[str, ...] = Field(default=(), description="entries that are taken away")
    put: dict[str, Any] = Field(
        default_factory=dict, description="entries that are new, after all others, or declared anew, in their place"
    )

    @classmethod
    def between(cls, before: Table, after: Table) -> TablePatch | None:
        """What makes ``after`` of ``before``, order included; None if nothing does."""
        keys = iter(before)
        # Entries that are found in the old order stay in their places, the others come at the end.
        kept = set(takewhile(lambda key: key in keys, after))
        removed = tuple(key for key in before if key not in kept)
        put = {key: value for key, value in after.items() if key not in kept or before[key] != value}
        return cls(removed=removed, put=put) if removed or put else None

    def applied(self, before: Table) -> dict[str, Any]:
        """The section afterwards."""
        return {**{key: value for key, value in before.items() if key not in self.removed}, **self.put}


class GraphPatch(SpecPart):
    """What makes one graph of another; a section that stays is left out."""

    inputs: TablePatch | None = None
    nodes: TablePatch | None = None
    edges: TablePatch | None = None
    outputs: tuple[str, ...] | None = None

    @classmethod
    def between(cls, before: GraphSpec, after: GraphSpec) -> GraphPatch:
        """What changes, exactly: ``between(a, b).applied(a) == b``, the order of entries included."""
        old, new = plain_graph(before), plain_graph(after)
        tables = {name: TablePatch.between(old[name], new[name]) for name in ("inputs", "nodes", "edges")}
        return cls(**tables, outputs=None if before.outputs == after.outputs else after.outputs)

    @property
    def plain(self) -> dict[str, Any]:
        """As it is written; empty if nothing changes."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def applied(self, before: GraphSpec) -> GraphSpec:
        """The graph afterwards.

        Raises:
            SpecError: if that is no graph.
        """
        plain = plain_graph(before)
        for name in ("inputs", "nodes", "edges"):
            table: TablePatch | None = getattr(self, name)
            if table is not None:
                plain[name] = table.applied(plain[name])
        if self.outputs is not None:
            plain["outputs"] = self.outputs
        try:
            return GraphSpec.model_validate(plain)
        except ValidationError as error:
            raise SpecError([Problem(tuple(map(str, e["loc"])), e["msg"]) for e in error.errors()[:3]]) from None
