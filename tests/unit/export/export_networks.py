"""Networks with nothing left at its default, and drawn graphs."""

from __future__ import annotations

import random
from typing import Any

import torch
from zoo import graph

from dagrow.build import Network, build
from dagrow.spec import GraphSpec


def network_of(spec: GraphSpec) -> Network:
    """A network whose norms have statistics and scales of their own, in training mode."""
    network = build(spec, seed=3)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in (*network.parameters(), *network.buffers()):
            if value.dim() == 1 and value.is_floating_point():
                value.add_(0.5 * torch.rand(value.shape, generator=generator))
    return network


def random_graph(draw: random.Random) -> GraphSpec:
    """Vectors under names of every length, sums and concats of all widths: for the layout of the source."""

    def name(stem: str) -> str:
        return stem + "_" * (longest > 3) + "".join(draw.choices("abcdexyz_", k=draw.randint(0, longest)))

    longest = draw.choice((2, 10, 25, 60))
    inputs = [name(f"i{k}") for k in range(draw.randint(1, 4))]
    nodes: dict[str, Any] = {}
    edges: dict[str, Any] = {}
    for k in range(draw.randint(2, 6)):
        before = [*inputs, *nodes]
        parents = before[-1:] if k == 0 else draw.sample(before, k=draw.randint(1, len(before)))
        node = name(f"v{k}")
        nodes[node] = {
            "size": 4 * len(parents),
            "merge": draw.choice(("sum", "concat")),
            "norm": draw.choice(("none", "batch", "layer")),
            "activation": draw.choice(("identity", "relu", "leaky_relu")),
            "dropout": draw.choice((0.0, 0.5)),
        }
        edges.update({f"{parent} -> {node}": {"op": "linear", "bias": draw.random() < 0.8} for parent in parents})
    read = {edge.split(" -> ")[0] for edge in edges}
    last = list(nodes)[-1]
    edges.update({f"{lost} -> {last}": "linear" for lost in inputs if lost not in read})
    nodes[last].update(merge="sum")
    outputs = [node for node in nodes if node not in read]
    return graph({key: [4] for key in inputs}, nodes, edges, outputs)
