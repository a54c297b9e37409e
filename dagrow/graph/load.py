"""Reads a file and checks its graph: every problem is shown with file and line, all together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dagrow.errors import Problem, SpecError, did_you_mean, listed
from dagrow.graph.dag import Dag
from dagrow.spec import GraphSpec, RunSpec, Source, read_graph, read_run


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
    run, source = read_run(path, overrides)
    _check(run.graph, source, _unknown_growth_nodes(run))
    return run


def _check(spec: GraphSpec, source: Source, problems: list[Problem]) -> None:
    try:
        Dag.of(spec)
    except SpecError as error:
        problems = [*error.problems, *problems]
    if problems:
        raise source.error(problems)


def _unknown_growth_nodes(run: RunSpec) -> list[Problem]:
    nodes = run.graph.nodes
    return [
        Problem(
            ("growth", "nodes", str(index)), f"unknown node '{name}'{did_you_mean(name, nodes)}; nodes: {listed(nodes)}"
        )
        for index, name in enumerate(run.growth.nodes or ())
        if name not in nodes
    ]
