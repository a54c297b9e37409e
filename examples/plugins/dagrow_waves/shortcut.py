"""A candidate type: new edges past the nodes in between, and no others."""

from __future__ import annotations

from collections.abc import Sequence

import dagrow
from dagrow.graph import NodeTemplate, NotGrowable
from dagrow.planner.kinds.base import Location
from dagrow.planner.kinds.edge import NewEdge


class Shortcut(NewEdge):
    """A new edge from a node to one that it leads to already, by a longer way.

    Places are what this type chooses; weights and gain are those of any new edge.
    """

    name = "shortcut"
    used_up = "every shortcut into it is there already"

    def places(self, dag: dagrow.Dag, templates: Sequence[NodeTemplate]) -> list[Location | NotGrowable]:
        """The places of new edges whose source is an ancestor of their target."""
        found = super().places(dag, templates)
        return [
            place for place in found if isinstance(place, Location) and place.sources[0] in dag.ancestors[place.node]
        ]


dagrow.register_candidate_type(Shortcut())
