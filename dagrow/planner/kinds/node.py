"""A new node between two nodes, or between several: linear neurons where they help, non-linear ones otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from dagrow.build import Network
from dagrow.graph import Dag, GrowableNode, NodeTemplate, NotGrowable, new_node
from dagrow.planner.kinds.base import CandidateType, Location, Proposal, SolveOptions
from dagrow.planner.kinds.neurons import draft_neurons
from dagrow.statistics import SiteLayout, Statistics, UpdateTarget


class NewNode(CandidateType):
    """A new node ``u -> h -> v``, beside whatever leads from u to v already."""

    name = "node"
    makes_nodes = True
    screened = True
    joins = True

    def places(self, dag: Dag, templates: Sequence[NodeTemplate]) -> list[Location | NotGrowable]:
        found: list[Location | NotGrowable] = []
        for u in (*dag.spec.inputs, *dag.order):
            for v in dag.order:
                if u != v and v not in dag.ancestors[u]:
                    found += [between(dag, (u,), (v,), template, templates) for template in templates]
        return found

    def needed(self, place: Location, pointwise: bool) -> tuple[tuple[UpdateTarget, ...], tuple[SiteLayout, ...]]:
        assert isinstance(place.site, GrowableNode)
        return (), (SiteLayout(place.dag, place.site, pointwise, place.label),)

    def draft(self, network: Network, place: Location, statistics: Statistics, ask: SolveOptions) -> Proposal:
        return draft_neurons(self.name, network, place, statistics, ask, place.cost)


def between(
    dag: Dag,
    parents: Sequence[str],
    children: Sequence[str],
    template: NodeTemplate,
    templates: Sequence[NodeTemplate],
) -> Location | NotGrowable:
    """The place of a new node between some parents and some children; the label tells templates apart."""
    traits = [str(own) for own, all_ in zip(template, zip(*templates, strict=True), strict=True) if len({*all_}) > 1]
    label = " -> ".join((", ".join(parents), "new", ", ".join(children))) + (
        f" ({', '.join(traits)})" if traits else ""
    )
    structure = new_node(dag, parents, children, template)
    if isinstance(structure, str):
        return NotGrowable(label, structure)
    name = next(name for name in structure.nodes if name not in dag.spec.nodes)
    return Location(label, dag, name, tuple(parents), tuple(children), structure, template=template)
