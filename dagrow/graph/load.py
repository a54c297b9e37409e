"""Reads a file and checks its graph: every problem is shown with file and line, all together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dagrow.errors import Problem, SpecError, did_you_mean, listed
from dagrow.graph.dag import Dag
from dagrow.graph.run_checks import run_problems
from dagrow.graph.sites import NotGrowable, site
from dagrow.spec import GraphSpec, RunSpec, SourceFile, read_graph, read_run


def load_graph(path: str | Path) -> GraphSpec:
    """The graph of any file with a ``graph:`` section.

    Raises:
        SpecError: with every problem found, each with file and line.
    """
    spec, source = read_graph(path)
    _check(spec, source, [])
    return spec


def load_run(path: str | Path, overrides: Sequence[str] = ()) -> RunSpec:
    """A run file, with ``key.path=value`` overrides on top.

    Raises:
        SpecError: with every problem found, each with file and line.
    """
    return checked_run(*read_run(path, overrides))


def checked_run(run: RunSpec, source: SourceFile) -> RunSpec:
    """The same run, once its graph and the names in it are in order.

    Raises:
        SpecError: with every problem found, each where it was written.
    """
    _check(run.graph, source, [*_unknown_growth_nodes(run), *_unwatched(run)])
    if problems := [*_fixed_growth_nodes(run), *run_problems(run)]:
        raise source.error(problems)
    return run


def _check(spec: GraphSpec, source: SourceFile, problems: list[Problem]) -> None:
    try:
        Dag.of(spec)
    except SpecError as error:
        problems = [*error.problems, *problems]
    if problems:
        raise source.error(problems)


def _unwatched(run: RunSpec) -> list[Problem]:
    if run.growth.schedule != "validation" or run.training.validation_fraction is not None:
        return []
    text = "'validation' waits for samples kept back: give 'training.validation_fraction', the share of them (0.1, say)"
    return [Problem(("growth", "schedule"), text)]


def _fixed_growth_nodes(run: RunSpec) -> list[Problem]:
    """Nodes that are to grow wider, and cannot; the graph must be in order."""
    if run.growth.candidates != ("widen",):
        return []  # What else can happen at a node is known to the planner.
    dag = Dag.of(run.graph)
    found = [site(dag, name) for name in run.growth.nodes or ()]
    return [
        Problem(("growth", "nodes", str(index)), f"'{place.node}' cannot grow: {place.reason}")
        for index, place in enumerate(found)
        if isinstance(place, NotGrowable)
    ]


def _unknown_growth_nodes(run: RunSpec) -> list[Problem]:
    nodes = run.graph.nodes
    return [
        Problem(
            ("growth", "nodes", str(index)),
            f"unknown node '{name}'{did_you_mean(name, nodes)}; nodes: {listed(nodes)}",
        )
        for index, name in enumerate(run.growth.nodes or ())
        if name not in nodes
    ]
