"""Small graphs named after what is hard about them, and networks with nothing left at its default."""

from __future__ import annotations

import random
from typing import Any

import torch

from dagrow.build import Network, build
from dagrow.ops import ACTIVATIONS
from dagrow.spec import GraphSpec


def graph(inputs: dict[str, Any], nodes: dict[str, Any], edges: dict[str, Any], *outputs: str) -> GraphSpec:
    return GraphSpec.model_validate(
        {
            "inputs": {name: x if isinstance(x, dict) else {"shape": x} for name, x in inputs.items()},
            "nodes": nodes,
            "edges": edges,
            "outputs": list(outputs),
        }
    )


ZOO: dict[str, GraphSpec] = {
    "mlp": graph(
        {"x": [6]},
        {"h": {"size": 5, "activation": "selu", "dropout": 0.25}, "y": {"size": 3}},
        {"x -> h": "linear", "h -> y": {"op": "linear", "bias": False}},
        "y",
    ),
    "conv_net": graph(
        {"x": [2, 9, 8]},
        {
            "c": {"size": 4, "norm": "batch", "activation": "relu", "pool": {"kind": "max", "kernel": 2}},
            "d": {
                "size": 3,
                "norm": "layer",
                "activation": "gelu",
                "pool": {"kind": "average", "kernel": 3, "stride": 1, "padding": 1},
                "flatten": True,
                "dropout": 0.5,
            },
            "h": {"size": 6, "norm": "batch", "activation": "tanh"},
            "y": {"size": 2},
        },
        {
            "x -> c": {"op": "conv2d", "kernel": 3, "padding": "same", "bias": False},
            "c -> d": {"op": "conv2d", "kernel": [3, 2], "stride": [1, 2], "padding": 1},
            "d -> h": "linear",
            "h -> y": "linear",
        },
        "y",
    ),
    "capped": graph(
        {"x": [2, 5, 5]},
        {
            "c": {"size": 3, "norm": "cap", "activation": "relu", "flatten": True},
            "h": {"size": 4, "norm": "cap", "activation": "relu"},
            "y": {"size": 2},
        },
        {"x -> c": {"op": "conv2d", "kernel": 3, "bias": False}, "c -> h": "linear", "h -> y": "linear"},
        "y",
    ),
    "maps_averaged": graph(
        {"x": [3, 6, 6]},
        {"c": {"size": 4, "pool": "global_average", "dropout": 0.1}, "y": {"size": 2}},
        {"x -> c": {"op": "conv2d", "kernel": 3}, "c -> y": "linear"},
        "y",
    ),
    "maps_averaged_and_flattened": graph(
        {"x": [3, 6, 6]},
        {"c": {"size": 4, "pool": "global_average", "flatten": True}},
        {"x -> c": {"op": "conv2d", "kernel": 3}},
        "c",
    ),
    "down_and_up": graph(
        {"x": [2, 4, 6]},
        {
            "h": {"size": 3, "norm": "batch", "activation": "relu", "pool": {"kind": "max"}},
            "u": {"size": 2, "activation": "tanh"},
            "v": {"size": 2, "activation": "selu", "pool": {"kind": "upsample", "kernel": 2}},
            "c": {"merge": "concat"},
            "y": {"size": 2},
        },
        {
            "x -> h": {"op": "conv2d", "kernel": 3, "padding": "same"},
            "h -> u": "conv_transpose2d",
            "h -> v": {"op": "conv2d", "kernel": 1},
            "u -> c": "identity",
            "v -> c": "identity",
            "c -> y": {
                "op": "conv_transpose2d",
                "kernel": [3, 2],
                "stride": [2, 1],
                "padding": [1, 0],
                "output_padding": [1, 0],
                "dilation": [1, 2],
                "bias": False,
            },
        },
        "y",
    ),
    "tokens": graph(
        {"x": [5, 4]},
        {
            "t": {"size": 6, "norm": "layer", "activation": "gelu"},
            "both": {"merge": "concat"},
            "m": {"size": 3, "activation": "silu", "pool": "global_average"},
            "f": {"size": 2, "flatten": True},
            "y": {"size": 2},
        },
        {
            "x -> t": "linear",
            "x -> both": "identity",
            "t -> both": "identity",
            "both -> m": "linear",
            "both -> f": "linear",
            "m -> y": "linear",
            "f -> y": "linear",
        },
        "y",
    ),
    "skip": graph(
        {"x": [4]},
        {"h": {"size": 4, "activation": "elu"}, "s": {"size": 4, "norm": "batch"}, "y": {"size": 2}},
        {
            "x -> h": "linear",
            "h -> s": "linear",
            "x -> s": "identity",
            "s -> y": "linear",
            "x -> y": "linear",
        },
        "y",
    ),
    "concat": graph(
        {"x": [2, 5, 5]},
        {
            "c": {"size": 6, "merge": "concat", "activation": "leaky_relu"},
            "d": {"size": 5, "merge": "concat", "flatten": True},
            "y": {"size": 2},
        },
        {
            "x -> c": {"op": "conv2d", "kernel": 3, "padding": 1},
            "x -> d": {"op": "conv2d", "kernel": 1, "size": 3},
            "c -> d": {"op": "conv2d", "kernel": 5, "padding": 2},
            "d -> y": "linear",
        },
        "y",
    ),
    "two_inputs_two_outputs": graph(
        {"left": [3], "right": [2, 4, 4]},
        {
            "h": {"size": 4, "activation": "softplus"},
            "image": {"size": 4, "flatten": True},
            "y": {"size": 2},
            "z": {"size": 4, "activation": "tanh"},
        },
        {
            "left -> h": "linear",
            "right -> image": {"op": "conv2d", "kernel": 4},
            "h -> z": "identity",
            "image -> z": "linear",
            "z -> y": "linear",
        },
        "z",
        "y",
    ),
    "all_activations": graph(
        {"x": [3]},
        {**{f"n_{name}": {"size": 3, "activation": name} for name in ACTIVATIONS}, "y": {"size": 2}},
        {
            **{f"x -> n_{name}": "linear" for name in ACTIVATIONS},
            **{f"n_{name} -> y": "linear" for name in ACTIVATIONS},
        },
        "y",
    ),
    "groups_and_dilation": graph(
        {"x": [4, 9, 9]},
        {"c": {"size": 6, "activation": "relu"}, "y": {"size": 2, "flatten": True}},
        {
            "x -> c": {"op": "conv2d", "kernel": 3, "groups": 2, "dilation": [2, 1], "padding": [1, 0]},
            "c -> y": {"op": "conv2d", "kernel": 3, "stride": 2, "groups": 2, "dilation": 2, "bias": False},
        },
        "y",
    ),
    "series": graph(
        {"x": {"shape": [4, 9], "layout": "channels_first"}},
        {
            "c": {"size": 4, "norm": "batch", "activation": "relu", "pool": {"kind": "max", "padding": 1}},
            "d": {"size": 2, "norm": "layer", "pool": {"kind": "upsample", "kernel": 2}},
            "both": {"merge": "concat", "activation": "tanh", "flatten": True},
            "m": {"size": 3, "pool": "global_average"},
            "y": {"size": 2},
        },
        {
            "x -> c": {"op": "conv1d", "kernel": 3, "stride": 2, "padding": 1, "groups": 2},
            "c -> d": {"op": "conv1d", "kernel": 2, "dilation": 2, "bias": False},
            "c -> m": {"op": "conv1d", "padding": "same"},
            "d -> both": "identity",
            "x -> both": {"op": "conv1d", "kernel": 8, "size": 2},
            "both -> y": "linear",
            "m -> y": "linear",
        },
        "y",
    ),
    "volumes": graph(
        {"x": [2, 5, 6, 4]},
        {
            "c": {"size": 4, "norm": "batch", "activation": "relu", "pool": {"kind": "average"}},
            "d": {"size": 2, "pool": {"kind": "upsample", "kernel": 2}, "flatten": True},
            "m": {"size": 3, "norm": "cap", "pool": "global_average"},
            "y": {"size": 2},
        },
        {
            "x -> c": {"op": "conv3d", "kernel": [3, 2, 1], "padding": [1, 0, 1], "groups": 2},
            "c -> d": {"op": "conv3d", "kernel": 2, "stride": [1, 2, 1], "dilation": [1, 1, 2]},
            "c -> m": {"op": "conv3d", "kernel": 1, "bias": False},
            "d -> y": "linear",
            "m -> y": "linear",
        },
        "y",
    ),
    "channels_last": graph(
        {"x": {"shape": [3, 4, 5], "layout": "channels_last"}},
        {
            "t": {"size": 2, "norm": "layer", "activation": "gelu"},
            "both": {"merge": "concat", "pool": "global_average"},
            "y": {"size": 2},
        },
        {"x -> t": "linear", "x -> both": "identity", "t -> both": "identity", "both -> y": "linear"},
        "y",
    ),
    "nothing_learned": graph(
        {"x": [3]},
        {"h": {"activation": "relu"}, "y": {}},
        {"x -> h": "identity", "x -> y": "identity"},
        "h",
        "y",
    ),
    "nasty_names": graph(
        {"inf": [3], "l": [3], "a_to_b_to_c": [3], "x_norm": [3]},
        {
            "this": {"size": 3, "activation": "relu"},
            "device": {"size": 3},
            "a": {"size": 3, "norm": "batch", "activation": "silu"},
            "a_to_b": {"size": 3},
            "a_norm": {"size": 3, "norm": "layer"},
            "c": {"size": 3},
            "b_to_c": {"size": 3},
            "relu": {"size": 3, "activation": "softplus"},
            "linear": {"size": 3},
            "val_0": {"size": 3, "norm": "layer"},
            "threshold_cast": {"size": 3, "norm": "batch"},
            "I": {"size": 3},
            "print": {"size": 3},
            "n" * 80: {"size": 3, "activation": "leaky_relu", "norm": "batch"},
            "n" * 79 + "m": {"size": 3},
            "nn": {"size": 2},
        },
        {
            "inf -> this": "linear",
            "inf -> device": "linear",
            "device -> this": "linear",
            "l -> a": "linear",
            "x_norm -> a": "identity",
            "a_to_b_to_c -> a_to_b": "linear",
            "a -> a_to_b": "linear",
            "a -> b_to_c": "linear",
            "a_to_b -> c": "linear",
            "a -> a_norm": "linear",
            "this -> relu": "linear",
            "b_to_c -> relu": "linear",
            "relu -> linear": "linear",
            "c -> linear": "linear",
            "a_norm -> val_0": "linear",
            "linear -> threshold_cast": "linear",
            "val_0 -> I": "identity",
            "threshold_cast -> I": "linear",
            "I -> print": "identity",
            f"print -> {'n' * 80}": "linear",
            f"relu -> {'n' * 80}": "linear",
            f"{'n' * 80} -> {'n' * 79}m": "linear",
            f"{'n' * 79}m -> nn": "linear",
        },
        "nn",
        "linear",
        "relu",
        "val_0",
    ),
}


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
    return graph({key: [4] for key in inputs}, nodes, edges, *outputs)
