"""Graphs in few words: what every test that needs one writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch

from dagrow.spec import GraphSpec
from dagrow.spec.graph import InputSpec


def example_of(entry: InputSpec, count: int, generator: torch.Generator, dtype: torch.dtype) -> torch.Tensor:
    """Samples of an input: standard normal ones, or tokens."""
    shape = (count, *entry.shape)
    if entry.vocabulary is not None:
        return torch.randint(entry.vocabulary, shape, generator=generator)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def graph(
    inputs: Mapping[str, Any], nodes: Mapping[str, Any], edges: Mapping[str, Any], outputs: str | Sequence[str] = "y"
) -> GraphSpec:
    """A spec with short forms: an input may be a shape, a node a size, one output a name."""
    return GraphSpec.model_validate(
        {
            "inputs": {name: x if isinstance(x, dict) else {"shape": list(x)} for name, x in inputs.items()},
            "nodes": {name: {"size": entry} if isinstance(entry, int) else entry for name, entry in nodes.items()},
            "edges": dict(edges),
            "outputs": [outputs] if isinstance(outputs, str) else list(outputs),
        }
    )


def chain(*hidden: Any, features: int = 4, outputs: int = 2, op: Any = "linear") -> GraphSpec:
    """``x -> h -> y``: one hidden node ``h``, or several, ``h0``, ``h1`` ..., each a size or the fields of a node."""
    names = ["h"] if len(hidden) == 1 else [f"h{i}" for i in range(len(hidden))]
    nodes = {**dict(zip(names, hidden, strict=True)), "y": outputs}
    return graph({"x": [features]}, nodes, path("x", *names, "y", op=op))


def path(*names: str, op: Any = "linear") -> dict[str, Any]:
    """Edges from each name to the next."""
    return {f"{u} -> {v}": op for u, v in pairwise(names)}


def node(size: int, activation: str = "identity", **fields: Any) -> dict[str, Any]:
    """The fields of a node."""
    return {"size": size, "activation": activation, **fields}


def conv(kernel: Any = 3, **fields: Any) -> dict[str, Any]:
    """The fields of a convolution on maps."""
    return {"op": "conv2d", "kernel": kernel, **fields}


def transposed(**fields: Any) -> dict[str, Any]:
    """The fields of a transposed convolution on maps."""
    return {"op": "conv_transpose2d", **fields}
