"""Networks of the zoo, and a second way to compute them: functions only, node by node from the spec."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from zoo import BUILDING, example_of

from dagrow.build import Network, build
from dagrow.ops import ACTIVATIONS
from dagrow.spec.graph import GraphSpec


def zoo_network(name: str) -> Network:
    """In eval mode, with norms that have seen something."""
    model = build(BUILDING[name], seed=2).double()
    generator = torch.Generator().manual_seed(3)
    for key, tensor in model.state_dict().items():
        if ".norm." in key and tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype) + 0.5)
    return model.eval()


def inputs_of(spec: GraphSpec, count: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(6)
    return [example_of(entry, count, generator, torch.float64) for entry in spec.inputs.values()]


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
