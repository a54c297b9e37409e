"""Spec to network: make the layers, initialise them from the seed, write the code."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from dagrow.build.emit import emit, output
from dagrow.build.module import Network
from dagrow.graph import Dag
from dagrow.randomness import seed_torch, torch_random_numbers_kept
from dagrow.spec.graph import GraphSpec
from dagrow.stages import used_stages


def build(graph: GraphSpec, *, seed: int | None = None) -> Network:
    """Compiles a graph spec to a ``torch.fx.GraphModule`` of ordinary ``nn`` layers.

    Each edge draws its weights from its own stream, made of the seed and the edge's name, so the result
    does not depend on the order of entries in the file.

    Args:
        graph: the spec.
        seed: any integer; left out, one is drawn from torch's global generator.

    Returns:
        A module whose forward takes the inputs in the order of the spec, and returns the output, or the
        tuple of outputs where there are several.

    Raises:
        SpecError: if the graph does not hold together.
    """
    dag = Dag.of(graph)
    if seed is None:
        seed = int(torch.randint(2**62, ()))
    root = nn.Module()
    with torch_random_numbers_kept():
        for name in dag.order:
            root.add_module(name, _node_layers(dag, name, seed))
    outputs = [output(name) for name in graph.outputs]
    inputs = [output(name) for name in graph.inputs]
    network = Network(root, emit(dag, inputs, outputs, single=len(outputs) == 1), class_name="Network")
    network.spec = graph
    return network


def node_layers(dag: Dag, name: str, seed: int | None = None) -> dict[str, nn.Module]:
    """The layers of one node and of the edges into it, by their names below the node."""
    node = dag.node(name)
    layers: dict[str, nn.Module] = {}
    for edge in dag.incoming[name]:
        if dag.op(edge).parametrised:
            if seed is not None:
                seed_torch(derived_seed(seed, f"{name}.from_{edge.source}"))
            layers[f"from_{edge.source}"] = dag.op(edge).module(dag.output(edge.source), dag.written(edge))
    for stage, shape in used_stages(node, dag.merged(name)):
        if stage.has_layer(node, shape):
            layers[stage.name] = stage.module(node, shape)
    return layers


def _node_layers(dag: Dag, name: str, seed: int) -> nn.Module:
    holder = nn.Module()
    for key, layer in node_layers(dag, name, seed).items():
        holder.add_module(key, layer)
    return holder


def derived_seed(seed: int, name: str) -> int:
    """A seed of its own for everything that has a name; the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big") >> 1
