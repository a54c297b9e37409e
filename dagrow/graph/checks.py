"""Checks of a graph's structure: one small function a check, all problems listed."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import networkx as nx
from torch import fx, nn

from dagrow.errors import MOST_PROBLEMS, Problem, did_you_mean, listed
from dagrow.spec.graph import GraphSpec

_RESERVED = frozenset([*dir(nn.Module()), *dir(fx.GraphModule)]) | {"meta", "shape_env", "spec", "dag"}
_WORDS_OF_THE_CODE = frozenset({"self", "torch"})

_SHOWN = 12
"""Nodes of a cycle that a message names."""


def structure_problems(spec: GraphSpec) -> list[Problem]:
    """What is wrong with the names and the wiring; shapes are checked after this.

    Of each kind, only as many are looked for as will be told: names are many in a file that was made to be so.
    """
    names = (_reserved_names, _shared_names, _unknown_ends, _bad_outputs)
    if problems := _first(check(spec) for check in names):
        return problems
    return _first([_cycles(spec)]) or _first([_orphans(spec), _dead_ends(spec)])


def is_reserved(name: str) -> bool:
    """Whether a name means something else in the code of a network, so that no input or node can have it."""
    return name in _RESERVED or name in _WORDS_OF_THE_CODE or keyword.iskeyword(name) or keyword.issoftkeyword(name)


def _first(checks: Iterable[Iterator[Problem]]) -> list[Problem]:
    found: list[Problem] = []
    for check in checks:
        found += islice(check, MOST_PROBLEMS)
        if next(check, None) is not None:
            found.append(Problem((), "and more problems of this kind"))
    return found


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
    known = dict.fromkeys((*spec.inputs, *spec.nodes))
    for edge in spec.edges:
        path = ("graph", "edges", str(edge))
        for end in dict.fromkeys(edge):
            if end not in known:
                near = did_you_mean(end, known)
                yield Problem(path, f"unknown node '{end}'{near}; nodes: {listed(known)}")
        if edge.target in spec.inputs:
            yield Problem(path, f"'{edge.target}' is an input; edges lead from inputs to nodes")


def _bad_outputs(spec: GraphSpec) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, name in enumerate(spec.outputs):
        path = ("graph", "outputs", str(index))
        if name in spec.inputs:
            yield Problem(path, f"'{name}' is an input; outputs are nodes: {listed(spec.nodes)}")
        elif name not in spec.nodes:
            near = did_you_mean(name, spec.nodes)
            yield Problem(path, f"unknown node '{name}'{near}; nodes: {listed(spec.nodes)}")
        elif name in seen:
            yield Problem(path, f"'{name}' is listed twice")
        seen.add(name)


def _cycles(spec: GraphSpec) -> Iterator[Problem]:
    digraph = nx.DiGraph(list(spec.edges))
    parts = [part for part in nx.strongly_connected_components(digraph) if _is_cyclic(digraph, part)]
    for part in sorted(map(sorted, parts)):
        loop = [edge[0] for edge in nx.find_cycle(digraph.subgraph(part), part[0])]
        start = loop.index(min(loop))
        loop = loop[start:] + loop[:start]
        shown = loop if len(loop) <= _SHOWN else [*loop[: _SHOWN - 1], f"({len(loop) - _SHOWN} more)", loop[-1]]
        path = " -> ".join([*shown, loop[0]])
        yield Problem(("graph", "edges", f"{loop[-1]} -> {loop[0]}"), f"the graph has a cycle: {path}")


def _is_cyclic(digraph: nx.DiGraph[str], part: set[str]) -> bool:
    """Whether a strongly connected part is more than one node without an edge to itself."""
    return len(part) > 1 or digraph.has_edge(*part, *part)


def _reached(starts: Iterable[str], following: Mapping[str, Iterable[str]]) -> set[str]:
    """All that can be reached from some nodes, and they themselves."""
    found, open_ = set(starts), list(starts)
    while open_:
        new = [name for name in following.get(open_.pop(), ()) if name not in found]
        found.update(new)
        open_ += new
    return found


def _orphans(spec: GraphSpec) -> Iterator[Problem]:
    """Nodes that nothing reaches: every node needs a parent, and some way from an input."""
    children: dict[str, list[str]] = {}
    for source, target in spec.edges:
        children.setdefault(source, []).append(target)
    reached = _reached(spec.inputs, children)
    for name in spec.nodes:
        if name not in reached:
            yield Problem(("graph", "nodes", name), f"no input reaches '{name}'; add an edge into it or remove it")


def _dead_ends(spec: GraphSpec) -> Iterator[Problem]:
    """Inputs and nodes that no output depends on."""
    parents: dict[str, list[str]] = {}
    for source, target in spec.edges:
        parents.setdefault(target, []).append(source)
    needed = _reached(spec.outputs, parents)
    for section, names in (("inputs", spec.inputs), ("nodes", spec.nodes)):
        for name in names:
            if name not in needed:
                yield Problem(
                    ("graph", section, name),
                    f"'{name}' leads to no output; add an edge from it, list it under outputs or remove it",
                )
