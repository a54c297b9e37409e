"""The network that a spec compiles to: an ordinary fx module that knows its spec."""

from __future__ import annotations

from torch import fx

from dagrow.graph import Dag
from dagrow.spec.graph import GraphSpec

_SPEC = "dagrow_spec"


class Network(fx.GraphModule):
    """A ``torch.fx.GraphModule`` of plain ``nn`` layers; ``.spec`` always matches its weights.

    Layers are named after the graph: ``h.from_x`` is the edge ``x -> h``; ``h.norm``, ``h.activation``,
    ``h.pool`` and ``h.dropout`` belong to node ``h``.
    """

    @property
    def spec(self) -> GraphSpec:
        """The graph as it is now. Kept in ``meta``, which copies of an fx module carry along."""
        spec: GraphSpec = self.meta[_SPEC]
        return spec

    @spec.setter
    def spec(self, spec: GraphSpec) -> None:
        self.meta[_SPEC] = spec

    @property
    def dag(self) -> Dag:
        """The checked DAG of `spec`."""
        return Dag.of(self.spec)
