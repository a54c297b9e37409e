"""Everywhere that something could be inserted or removed, before any data are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from dagrow.errors import GrowthError, SpecError, did_you_mean, listed
from dagrow.graph import Dag, NodeTemplate, NotGrowable
from dagrow.planner.kinds import find_kind
from dagrow.planner.screening import ScreeningEntry
from dagrow.spec.problems import problems_of
from dagrow.spec.proposal_settings import NewNodeSpec


def find_locations(
    dag: Dag,
    candidates: str | Sequence[str],
    nodes: Sequence[str] | None = None,
    new_node: NewNodeSpec | Mapping[str, Any] | None = None,
) -> tuple[list[ScreeningEntry], tuple[NotGrowable, ...]]:
    """All places that are asked for, and those where nothing can be done and why.

    Args:
        dag: the graph as it is.
        candidates: kinds, by name.
        nodes: the only nodes to consider; None for all.
        new_node: activation, norm and kernel of new nodes.

    Raises:
        SpecError: if an entry of ``new_node`` is unknown.
        GrowthError: if there is no kind or node of a name, or a named node can never be such a place.
    """
    templates = node_templates(new_node)
    entries: list[ScreeningEntry] = []
    fixed: list[NotGrowable] = []
    kinds = [find_kind(name) for name in ((candidates,) if isinstance(candidates, str) else candidates)]
    for kind in kinds:
        for place in kind.places(dag, templates):
            if isinstance(place, NotGrowable):
                fixed.append(place)
            else:
                entries.append(ScreeningEntry(kind, place))
    if nodes is None:
        return entries, tuple(dict.fromkeys(fixed))
    for name in nodes:
        if name not in dag.order and not any(name == entry.place.label for entry in entries):
            raise GrowthError(f"there is no node '{name}'{did_you_mean(name, dag.order)}; nodes: {listed(dag.order)}")
        if any(entry.place.concerns((name,)) for entry in entries):
            continue
        reason = next((place.reason for place in fixed if place.node == name), None)
        if reason is not None:
            raise GrowthError(f"'{name}' cannot grow: {reason}")
        fixed.append(NotGrowable(name, "; ".join(f"{kind.name}: {kind.used_up}" for kind in kinds)))
    entries = [entry for entry in entries if entry.place.concerns(nodes)]
    return entries, tuple(dict.fromkeys(place for place in fixed if place.node in nodes))


def node_templates(new_node: NewNodeSpec | Mapping[str, Any] | None) -> list[NodeTemplate]:
    """Every activation, norm and kernel that is asked for.

    Raises:
        SpecError: if one of them is unknown.
    """
    try:
        spec = NewNodeSpec.model_validate({} if new_node is None else new_node)
    except ValidationError as error:
        found = problems_of(error, NewNodeSpec, new_node, lambda path: None)
        raise SpecError([replace(problem, path=("new_node", *problem.path)) for problem in found]) from error
    return [NodeTemplate(*each) for each in spec.combinations]
