"""One spelling for the edges of a file: ``x->h`` and ``x  ->  h`` become ``x -> h``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic_core import PydanticCustomError

from dagrow.errors import Problem
from dagrow.spec.document import Document, Path
from dagrow.spec.graph import EdgeId

EDGES = ("graph", "edges")


def tidy_edge(text: str) -> str:
    """``source -> target`` with one space at each side of the arrow; other text as it is."""
    try:
        return str(EdgeId.parse(text))
    except PydanticCustomError:
        return text


def tidy_edges(document: Document) -> Document:
    """The same document with every edge in that spelling; an edge given twice is a problem."""
    graph = document.data.get("graph")
    edges = graph.get("edges") if isinstance(graph, dict) else None
    if not isinstance(graph, dict) or not isinstance(edges, dict):
        return document
    tidy: dict[str, Any] = {}
    lines: dict[str, int] = {}
    problems = [replace(problem, path=_tidy_path(problem.path)) for problem in document.problems]
    for written, op in edges.items():
        edge, line = tidy_edge(written), document.lines[(*EDGES, written)]
        if edge in tidy:
            message = f"'{edge}' is given twice, first in line {lines[edge]}"
            problems.append(Problem((*EDGES, edge), message, line))
            continue
        tidy[edge], lines[edge] = op, line
    all_lines = {_tidy_path(path): line for path, line in reversed(document.lines.items())}
    data = {**document.data, "graph": {**graph, "edges": tidy}}
    return replace(document, data=data, lines=all_lines, problems=tuple(problems))


def _tidy_path(path: Path) -> Path:
    return (*EDGES, tidy_edge(path[2]), *path[3:]) if path[:2] == EDGES and len(path) > 2 else path
