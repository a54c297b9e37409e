"""Checks of a graph's structure: one small function a check, all problems listed."""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx
from torch import fx, nn

from dagrow.errors import Problem, did_you_mean, listed
from dagrow.spec.graph import GraphSpec

_RESERVED = frozenset([*dir(nn.Module()), *dir(fx.GraphModule)]) | {"meta", "shape_env", "spec", "dag"}
_WORDS_OF_THE_CODE = frozenset({"self", "torch"})


def structure_problems(spec: GraphSpec) -> list[Problem]:
    """Everything wrong with the names and the wiring; shapes are checked after this."""
    problems = [*_reserved_names(spec), *_shared_names(spec), *_unknown_ends(spec), *_bad_outputs(spec)]
    if problems:
        return problems
    problems = list(_cycles(spec))
    return problems or [*_orphans(spec), *_dead_ends(spec)]


def _reserved_names(spec: GraphSpec) -> Iterator[Problem]:
    for section, names in (("inputs", spec.inputs), ("nodes", spec.nodes)):
        for name in names:
            if name in _RESERVED:
                yield Problem(
                    ("graph", section, name),
                    f"'{name}' is an attribute of torch.nn.Module; choose another name",
                )
            elif name in _WORDS_OF_THE_CODE:
                yield Problem(("graph", section, name), f"'{name}' has a meaning in the code; choose another name")


def _shared_names(spec: GraphSpec) -> Iterator[Problem]:
    for name in spec.nodes:
        if name in spec.inputs:
            yield Problem(("graph", "nodes", name), f"'{name}' is an input already; choose another name")


def _unknown_ends(spec: GraphSpec) -> Iterator[Problem]:
    known = [*spec.inputs, *spec.nodes]
    for edge in spec.edges:
        path = ("graph", "edges", str(edge))
        for end in dict.fromkeys(edge):
            if end not in known:
                near = did_you_mean(end, known)
                yield Problem(path, f"unknown node '{end}'{near}; nodes: {listed(known)}")
        if edge.target in spec.inputs:
            yield Problem(path, f"'{edge.target}' is an input; edges lead from inputs to nodes")


def _bad_outputs(spec: GraphSpec) -> Iterator[Problem]:
    for index, name in enumerate(spec.outputs):
        path = ("graph", "outputs", str(index))
        if name in spec.inputs:
            yield Problem(path, f"'{name}' is an input; outputs are nodes: {listed(spec.nodes)}")
        elif name not in spec.nodes:
            near = did_you_mean(name, spec.nodes)
            yield Problem(path, f"unknown node '{name}'{near}; nodes: {listed(spec.nodes)}")
        elif name in spec.outputs[:index]:
            yield Problem(path, f"'{name}' is listed twice")


def _cycles(spec: GraphSpec) -> Iterator[Problem]:
    digraph = nx.DiGraph(list(spec.edges))
    for part in sorted(map(sorted, nx.strongly_connected_components(digraph))):
        inside = digraph.subgraph(part)
        if inside.number_of_edges() == 0:
            continue
        loop = [edge[0] for edge in nx.find_cycle(inside, part[0])]
        start = loop.index(min(loop))
        loop = loop[start:] + loop[:start]
        path = " -> ".join([*loop, loop[0]])
        yield Problem(("graph", "edges", f"{loop[-1]} -> {loop[0]}"), f"the graph has a cycle: {path}")


def _orphans(spec: GraphSpec) -> Iterator[Problem]:
    """Nodes that nothing reaches: every node needs a parent, and some way from an input."""
    digraph = nx.DiGraph(list(spec.edges))
    digraph.add_nodes_from([*spec.inputs, *spec.nodes])
    reached = set(spec.inputs).union(*(nx.descendants(digraph, name) for name in spec.inputs))
    for name in spec.nodes:
        if name not in reached:
            yield Problem(("graph", "nodes", name), f"no input reaches '{name}'; add an edge into it or remove it")


def _dead_ends(spec: GraphSpec) -> Iterator[Problem]:
    """Inputs and nodes that no output depends on."""
    digraph = nx.DiGraph(list(spec.edges))
    digraph.add_nodes_from([*spec.inputs, *spec.nodes])
    needed = set(spec.outputs).union(*(nx.ancestors(digraph, name) for name in spec.outputs))
    for section, names in (("inputs", spec.inputs), ("nodes", spec.nodes)):
        for name in names:
            if name not in needed:
                yield Problem(
                    ("graph", section, name),
                    f"'{name}' leads to no output; add an edge from it, list it under outputs or remove it",
                )
