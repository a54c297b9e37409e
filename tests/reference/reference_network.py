"""A second, plain interpreter of graph specs, on which the reference tests rest.

It shares with dagrow only the spec, the inferred shapes and the names of the weights in the state dict.
Values are kept per node: `a` before norm, activation and pool, `b` after them.
"""

import copy
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch.nn import functional
from zoo import graph as graph

from dagrow.build import build
from dagrow.mutation import apply_change
from dagrow.statistics import IndexedBatches

ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": torch.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "selu": torch.selu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
    "softplus": functional.softplus,
}


def network(spec, seed=0, dtype=torch.float64):
    return build(spec, seed=seed).to(dtype)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def inputs_for(spec, samples, seed=0):
    """Noise, or tokens in the number format in which training has them."""
    return tuple(_input_for(entry, samples, seed + i) for i, entry in enumerate(spec.inputs.values()))


def _input_for(entry, samples, seed):
    if entry.vocabulary is None:
        return normal(samples, *entry.shape, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(entry.vocabulary, (samples, *entry.shape), generator=generator).double()


def batches(x, y, sizes):
    """The samples cut into batches of these sizes."""
    xs = x if isinstance(x, tuple) else (x,)
    ys = y if isinstance(y, tuple) else (y,)
    found, start = [], 0
    for size in sizes:
        part = slice(start, start + size)
        cut_x, cut_y = tuple(t[part] for t in xs), tuple(t[part] for t in ys)
        found.append((cut_x, cut_y if isinstance(y, tuple) else cut_y[0]))
        start += size
    assert start == len(xs[0])
    return found


def stream(model, x, y, sizes=None, held_out=0.0):
    samples = len(x[0] if isinstance(x, tuple) else x)
    return IndexedBatches(batches(x, y, sizes or [samples]), model, held_out)


def squared(output, target):
    """Half the squared distance, mean over samples: v_goal of an output is target minus output."""
    outs, targets = (output, target) if isinstance(output, tuple) else ((output,), (target,))
    return sum((o - t).square().flatten(1).sum(1).mean() / 2 for o, t in zip(outs, targets, strict=True))


def mean_loss(model, loss, data):
    """The mean loss over all samples of batches."""
    total = count = 0
    with torch.no_grad():
        for x, y in data:
            size = len(x[0])
            total += float(loss(model(*x), y)) * size
            count += size
    return total / count


def inserted(model, change):
    """A copy of the model with the change made."""
    other = copy.deepcopy(model)
    apply_change(other, change)
    return other


@dataclass
class Values:
    """Of one sample: per node `a` (pre-activation), `b` (output) and v_goal, without the batch dimension."""

    a: dict
    b: dict
    v_goal: dict


def order_of(spec):
    done, order = set(spec.inputs), []
    while len(order) < len(spec.nodes):
        for name in spec.nodes:
            sources = {edge.source for edge in spec.edges if edge.target == name}
            if name not in done and sources <= done:
                done.add(name)
                order.append(name)
    return order


def incoming(spec, name):
    return [edge for edge in spec.edges if edge.target == name]


def forward(model, xs):
    """All `a` and `b` of a batch, by hand. No norms: they join the samples, and these tests go one by one."""
    spec, state = model.spec, dict(model.named_parameters())
    a, b = {}, dict(zip(spec.inputs, xs, strict=True))
    for name in order_of(spec):
        node, written = spec.nodes[name], []
        for edge in incoming(spec, name):
            op, x = spec.edges[edge], b[edge.source]
            weight, bias = (state.get(f"{name}.from_{edge.source}.{key}") for key in ("weight", "bias"))
            if op.name == "identity":
                written.append(x)
            elif op.name == "embedding":
                written.append(torch.stack([torch.stack([weight[int(token)] for token in row]) for row in x]))
            elif op.name == "position":
                written.append(torch.stack([weight for _ in x]))
            elif op.name == "linear":
                written.append(x @ weight.T + (0 if bias is None else bias))
            elif op.name == "conv_transpose2d":
                spread = (op.stride, op.padding, op.output_padding, 1, op.dilation)
                written.append(functional.conv_transpose2d(x, weight, bias, *spread))
            else:
                padding = "same" if op.padding == "same" else op.padding
                convolution = getattr(functional, op.name)
                written.append(convolution(x, weight, bias, op.stride, padding, op.dilation, op.groups))
        layout = model.dag.merged(name)
        channel = layout.batch_axis
        added = {"sum": sum, "multiply": prod}
        a[name] = torch.cat(written, channel) if node.merge == "concat" else added[node.merge](written)
        # A tensor of its own, so that its gradient is its own.
        a[name] = a[name] * 1.0
        assert node.norm == "none"
        b[name] = _after(node, a[name], layout)
    return a, b


def attended(x, attention):
    """Attention of one sample ``[tokens, features]``, head by head and token by token, softmax written out."""
    size = x.shape[1] // 3 // attention.heads
    heads = []
    for head in range(attention.heads):
        query, key, value = (x[:, (part * attention.heads + head) * size :][:, :size] for part in range(3))
        rows = []
        for t in range(len(x)):
            seen = range(t + 1) if attention.causal else range(len(x))
            scores = torch.stack([(query[t] * key[s]).sum() / size**0.5 for s in seen]).exp()
            rows.append(sum(scores[i] / scores.sum() * value[s] for i, s in enumerate(seen)))
        heads.append(torch.stack(rows))
    return torch.cat(heads, dim=1)


def _after(node, z, layout):
    z = ACTIVATIONS[node.activation](z)
    if node.attention is not None:
        z = torch.stack([attended(one, node.attention) for one in z])
    if node.pool is not None:
        pool = node.pool
        if pool.kind == "global_average":
            z = z.mean(dim=layout.position_axes)
        elif pool.kind == "upsample":
            for axis in layout.position_axes:
                z = z.repeat_interleave(pool.kernel, axis)
        else:
            kind = {"max": "max", "average": "avg"}[pool.kind]
            function = getattr(functional, f"{kind}_pool{len(layout.positions)}d")
            z = function(z, pool.kernel, pool.stride, pool.padding)
    return z.flatten(1) if node.flatten else z


def sample_values(model, loss, xs, y):
    """Sample by sample: values and ``v_goal = -dl/da``, as numpy arrays."""
    found = []
    for i in range(len(xs[0])):
        one = tuple(x[i : i + 1] for x in xs)
        target = tuple(t[i : i + 1] for t in y) if isinstance(y, tuple) else y[i : i + 1]
        a, b = forward(model, one)
        outs = tuple(b[name] for name in model.spec.outputs)
        value = loss(outs if len(outs) > 1 else outs[0], target)
        gradients = torch.autograd.grad(value, list(a.values()), allow_unused=True)
        v_goal = {
            n: np.zeros(a[n].shape[1:]) if g is None else -g[0].numpy() for n, g in zip(a, gradients, strict=True)
        }
        found.append(Values(_numpy(a), _numpy(b), v_goal))
    return found


def _numpy(values):
    return {name: value.detach()[0].numpy() for name, value in values.items()}
