"""Graphs with every feature, and a second way to compute them: functions only, node by node from the spec."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dagrow.build import Network, build
from dagrow.ops import ACTIVATIONS
from dagrow.spec.graph import GraphSpec


def conv(kernel: Any = 3, **more: Any) -> dict[str, Any]:
    return {"op": "conv2d", "kernel": kernel, **more}


def graph(inputs: dict, nodes: dict, edges: dict, outputs: list[str] | str) -> GraphSpec:
    fields = {"inputs": {name: {"shape": shape} for name, shape in inputs.items()}, "outputs": outputs}
    return GraphSpec.model_validate({**fields, "nodes": nodes, "edges": edges})


ZOO: dict[str, GraphSpec] = {
    "mlp": graph(
        {"x": [4]},
        {"h": {"size": 3, "activation": "tanh"}, "y": {"size": 2}},
        {"x -> h": "linear", "h -> y": "linear"},
        "y",
    ),
    "sum and skip": graph(
        {"x": [4]},
        {
            "h": {"size": 3, "activation": "relu", "norm": "layer"},
            "k": {"size": 3, "activation": "selu"},
            "y": {"size": 2},
        },
        {
            "x -> h": "linear",
            "h -> k": {"op": "linear", "bias": False},
            "x -> k": "linear",
            "k -> y": "linear",
            "h -> y": "linear",
        },
        "y",
    ),
    "residual": graph(
        {"x": [4]},
        {
            "h": {"size": 4, "activation": "gelu"},
            "r": {"size": 4},
            "s": {"activation": "tanh"},
            "y": {"size": 2},
        },
        {
            "x -> h": "linear",
            "h -> r": "linear",
            "h -> s": "identity",
            "r -> s": "identity",
            "s -> y": "linear",
        },
        "y",
    ),
    "lone identities": graph(
        {"x": [4]},
        {"h": {"size": 3}, "k": {"activation": "tanh"}, "l": {"merge": "concat"}, "y": {"size": 2}},
        {
            "x -> h": "linear",
            "h -> k": "identity",
            "k -> l": "identity",
            "l -> y": "linear",
            "h -> y": "linear",
            "k -> y": "linear",
        },
        "y",
    ),
    "concat": graph(
        {"x": [4]},
        {
            "h": {"size": 3, "activation": "elu"},
            "c": {"merge": "concat", "norm": "batch", "activation": "silu"},
            "y": {"size": 2},
        },
        {"h -> c": "identity", "x -> c": {"op": "linear", "size": 2}, "x -> h": "linear", "c -> y": "linear"},
        "y",
    ),
    "two in, two out": graph(
        {"x": [4], "z": [2, 5, 5]},
        {
            "f": {"size": 3, "activation": "relu", "flatten": True},
            "h": {"size": 3, "activation": "leaky_relu", "dropout": 0.5},
            "y": {"size": 2},
            "w": {"size": 1, "activation": "softplus"},
        },
        {
            "z -> f": conv(),
            "x -> h": "linear",
            "f -> h": "linear",
            "h -> y": "linear",
            "f -> w": "linear",
            "h -> w": "linear",
        },
        ["y", "w"],
    ),
    "convolutions": graph(
        {"x": [2, 6, 6]},
        {
            "h": {"size": 4, "norm": "batch", "activation": "relu", "pool": {"kind": "max"}},
            "g": {
                "size": 2,
                "norm": "layer",
                "pool": {"kind": "average", "kernel": 3, "stride": 2, "padding": 1},
            },
            "c": {"merge": "concat", "flatten": True},
            "p": {"size": 3, "pool": "global_average", "activation": "tanh"},
            "y": {"size": 2},
        },
        {
            "x -> h": conv(padding="same"),
            "h -> g": conv((3, 1), padding=(1, 0), groups=2),
            "x -> c": conv(2, stride=3, size=1, bias=False),
            "g -> c": "identity",
            "h -> p": conv(2, dilation=2),
            "p -> y": "linear",
            "c -> y": "linear",
        },
        "y",
    ),
    "down and up": graph(
        {"x": [2, 4, 6]},
        {
            "h": {"size": 3, "norm": "batch", "activation": "relu", "pool": {"kind": "max"}},
            "u": {"size": 2, "activation": "tanh"},
            "v": {"size": 2, "activation": "selu", "pool": {"kind": "upsample", "kernel": 2}},
            "c": {"merge": "concat"},
            "y": {"size": 2},
        },
        {
            "x -> h": conv(padding="same"),
            "h -> u": "conv_transpose2d",
            "h -> v": conv(1),
            "u -> c": "identity",
            "v -> c": "identity",
            "x -> c": conv(1, size=1),
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
        {"x": [5, 3]},
        {
            "h": {"size": 4, "activation": "gelu", "norm": "layer"},
            "k": {"merge": "concat"},
            "m": {"size": 2, "pool": "global_average"},
            "f": {"size": 2, "flatten": True},
            "y": {"size": 2},
        },
        {
            "x -> h": "linear",
            "h -> k": "identity",
            "x -> k": "identity",
            "k -> m": "linear",
            "k -> f": "linear",
            "m -> y": "linear",
            "f -> y": "linear",
        },
        "y",
    ),
    "an output inside": graph(
        {"x": [4]},
        {"h": {"size": 2, "activation": "tanh"}, "k": {"size": 2, "activation": "tanh"}, "y": {"size": 2}},
        {"x -> h": "linear", "h -> k": "linear", "k -> y": "linear", "x -> y": "linear"},
        ["h", "y"],
    ),
}


def zoo_network(name: str) -> Network:
    """In eval mode, with norms that have seen something."""
    model = build(ZOO[name], seed=2).double()
    generator = torch.Generator().manual_seed(3)
    for key, tensor in model.state_dict().items():
        if ".norm." in key and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) + 0.5)
    return model.eval()


def inputs_of(spec: GraphSpec, count: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(6)
    return [torch.randn(count, *i.shape, dtype=torch.float64, generator=generator) for i in spec.inputs.values()]


def interpret(
    spec: GraphSpec, state: dict[str, Tensor], xs: list[Tensor], shifts: dict[str, Tensor] | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What every node merges and puts out, in eval mode; ``shifts`` are added to what nodes merge."""
    b, a = dict(zip(spec.inputs, xs, strict=True)), {}
    while len(a) < len(spec.nodes):
        for name, node in spec.nodes.items():
            into = [edge for edge in spec.edges if edge.target == name]
            if name in a or any(edge.source not in b for edge in into):
                continue
            parts = [_edge(spec.edges[e], b[e.source], state, f"{name}.from_{e.source}") for e in into]
            axis = 2 if parts[0].dim() == 3 else 1
            z = torch.cat(parts, axis) if node.merge == "concat" else torch.stack(parts).sum(0)
            a[name] = z = z + (shifts or {}).get(name, 0.0)
            b[name] = _tail(node, z, state, name)
    return a, b


def _edge(op: Any, x: Tensor, state: dict[str, Tensor], key: str) -> Tensor:
    if op.name == "identity":
        return x
    weight, bias = state[f"{key}.weight"], state.get(f"{key}.bias")
    if op.name == "linear":
        return x @ weight.T + (0 if bias is None else bias)
    if op.name == "conv_transpose2d":
        return F.conv_transpose2d(x, weight, bias, op.stride, op.padding, op.output_padding, 1, op.dilation)
    padding = (
        [d * (k - 1) // 2 for k, d in zip(op.kernel, op.dilation, strict=True)] if op.padding == "same" else op.padding
    )
    return F.conv2d(x, weight, bias, op.stride, padding, op.dilation, op.groups)


def _tail(node: Any, z: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    if node.norm == "batch":
        stats = (state[f"{name}.norm.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        z = F.batch_norm(z, *stats)
    if node.norm == "layer":
        weight, bias = state[f"{name}.norm.weight"], state[f"{name}.norm.bias"]
        z = F.group_norm(z, 1, weight, bias) if z.dim() == 4 else F.layer_norm(z, weight.shape, weight, bias)
    z = ACTIVATIONS[node.activation].function(z)
    if node.pool is not None and node.pool.kind == "global_average":
        return z.flatten(2).mean(2) if z.dim() == 4 else z.mean(1)
    if node.pool is not None and node.pool.kind == "upsample":
        z = z.repeat_interleave(node.pool.kernel, 2).repeat_interleave(node.pool.kernel, 3)
    elif node.pool is not None:
        pool = F.max_pool2d if node.pool.kind == "max" else F.avg_pool2d
        z = pool(z, node.pool.kernel, node.pool.stride, node.pool.padding)
    return z.flatten(1) if node.flatten else z
