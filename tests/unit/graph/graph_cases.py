"""Small specs, and the problems that their graphs have."""

from typing import Any

import pytest

from dagrow.errors import SpecError
from dagrow.graph import Dag
from dagrow.spec.graph import GraphSpec


def graph(inputs: dict, nodes: dict, edges: dict, outputs: Any) -> GraphSpec:
    fields = {"inputs": {name: {"shape": shape} for name, shape in inputs.items()}, "outputs": outputs}
    return GraphSpec.model_validate({**fields, "nodes": nodes, "edges": edges})


def conv(kernel: Any = 3, **more: Any) -> dict[str, Any]:
    return {"op": "conv2d", "kernel": kernel, **more}


def problems(*args: Any) -> list[tuple[str, str]]:
    """Path and message of every problem of a graph."""
    with pytest.raises(SpecError) as caught:
        Dag.of(graph(*args))
    return [(" / ".join(problem.path), problem.message) for problem in caught.value.problems]
