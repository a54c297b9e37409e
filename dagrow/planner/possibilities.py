"""What each kind of growth could do to a graph, without data: at how many places, and why not elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagrow.graph import Dag, NotGrowable
from dagrow.planner.kinds import KINDS
from dagrow.planner.locations import node_templates
from dagrow.report import table
from dagrow.spec.proposal_settings import NewNodeSpec

_EXAMPLES = 3
_QUOTED = "'"


@dataclass(frozen=True)
class Possibilities:
    """What one kind could do.

    Attributes:
        kind: its name.
        places: labels of where it could happen, in the order of the graph.
        refused: of the other places, the reason with how many places it holds for and one of them.
        asked: whether the run asks for this kind.
    """

    kind: str
    places: tuple[str, ...]
    refused: tuple[tuple[str, int, str], ...]
    asked: bool


def possibilities(
    dag: Dag,
    asked: Sequence[str],
    nodes: Sequence[str] | None = None,
    new_node: NewNodeSpec | Mapping[str, Any] | None = None,
) -> tuple[Possibilities, ...]:
    """What each kind of growth could do.

    Args:
        dag: the graph.
        asked: kinds that the run asks for.
        nodes: the only nodes to consider; None for all.
        new_node: activation, norm and kernel of new nodes.

    Raises:
        SpecError: if an entry of ``new_node`` is unknown.
    """
    templates = node_templates(new_node)
    found = []
    for kind, entry in KINDS.items():
        if not (entry.grows or entry.rivals_growth):
            continue
        places = entry.places(dag, templates)
        legal = [p.label for p in places if not isinstance(p, NotGrowable) and (nodes is None or p.concerns(nodes))]
        refused = [p for p in places if isinstance(p, NotGrowable)]
        counts = Counter(_general(place.reason) for place in refused)
        examples = {_general(place.reason): place for place in reversed(refused)}
        reasons = tuple((examples[key].reason, count, examples[key].node) for key, count in counts.most_common())
        found.append(Possibilities(kind, tuple(legal), reasons, kind in asked))
    return tuple(found)


def possibilities_text(found: Sequence[Possibilities], reasons: int = 2) -> str:
    """A table, and the most frequent reasons per kind why other places cannot be."""
    body = []
    for each in found:
        shown = ", ".join(each.places[:_EXAMPLES]) + (", ..." if len(each.places) > _EXAMPLES else "")
        shown = shown or (f"- ({KINDS[each.kind].used_up})" if not each.refused else "-")
        body.append([each.kind, "yes" if each.asked else "no", shown, str(len(each.places))])
    lines = [table(("growth", "asked for", "such as", "places"), body, left=3)]
    for each in found:
        for reason, count, example in each.refused[:reasons]:
            if each.kind == "widen":
                continue  # Told node by node above.
            lines.append(f"{each.kind}: not at {count} place{'' if count == 1 else 's'}, such as {example}: {reason}")
    return "\n".join(lines)


def _general(reason: str) -> str:
    """The reason without the names in it, so that equal ones count together."""
    return " ".join(part for index, part in enumerate(reason.split(_QUOTED)) if index % 2 == 0)
