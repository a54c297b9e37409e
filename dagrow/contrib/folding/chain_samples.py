"""The network as a chain of matrices, and a bounded part of the samples with what it makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dagrow.build import Network
from dagrow.build.emit import edge_module
from dagrow.contrib.folding.relu_chain import LabelledPredictions, ReluChain
from dagrow.errors import DataError
from dagrow.spec.graph import EdgeId
from dagrow.statistics import ActivationCache

JUDGED = 2_000
"""Samples that are judged one by one, at most."""


def chain_of(network: Network, edges: Sequence[EdgeId]) -> ReluChain:
    """The layers of a network as matrices.

    Args:
        network: whose graph is a chain.
        edges: of the chain, in order.
    """
    weights, biases = [], []
    for edge in edges:
        op, layer = network.dag.op(edge), network.get_submodule(edge_module(edge))
        weight, bias = layer.get_parameter("weight").detach(), None
        if op.has_bias:
            bias = layer.get_parameter("bias").detach()
        # What an edge does to the unit vectors is its matrix, whatever way its layer keeps it.
        units = torch.eye(network.dag.output(edge.source)[0], dtype=weight.dtype, device=weight.device)
        matrix = op.functional(units, weight, None).T.double()
        weights.append(matrix)
        biases.append(matrix.new_zeros(len(matrix)) if bias is None else bias.double())
    return ReluChain(tuple(weights), tuple(biases))


def judged(snapshots: ActivationCache, chain: ReluChain) -> LabelledPredictions:
    """Some of the samples that are not held out, drawn by their lots, with class and loss of each.

    Raises:
        DataError: if the targets are no labels.
    """
    x, target, index = _drawn(snapshots)
    dtype = next(iter(snapshots.network.parameters())).dtype
    outputs = chain(x).detach().requires_grad_()
    with torch.enable_grad():
        each = torch.stack(
            [snapshots.loss(out.unsqueeze(0).to(dtype), y) for out, y in zip(outputs, target.unsqueeze(1), strict=True)]
        )
        (gradient,) = torch.autograd.grad(each.sum(), outputs)
    outputs = outputs.detach()
    return LabelledPredictions(x, each.detach().double(), outputs.argmax(1), target, index, gradient)


def _drawn(snapshots: ActivationCache) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, labels and numbers of the samples with the lowest lots, in their order."""
    parts: tuple[Tensor, ...] = ()
    first = 0
    for snapshot in snapshots.passing():
        batch = snapshot.batch
        if problem := labels_problem(batch.target):
            raise DataError(problem)
        number = torch.arange(first, first + batch.size, device=batch.held.device)
        new = tuple(
            part[~batch.held] for part in (batch.inputs[0].double(), batch.target.long(), number, batch.sample_uniform)
        )
        parts = tuple(torch.cat(pair) for pair in zip(parts, new, strict=True)) if parts else new
        kept = parts[3].argsort()[:JUDGED].sort().values
        parts = tuple(part[kept] for part in parts)
        first += batch.size
    processes = snapshots.stream.processes
    x, target, index, sample_uniform = parts
    parts = (x, target, index + processes.before(first), sample_uniform)
    x, target, index, sample_uniform = (processes.gather(part) for part in parts)
    kept = sample_uniform.argsort()[:JUDGED].sort().values
    return x[kept], target[kept], index[kept]


def labels_problem(target: object) -> str:
    """Why targets are not one class per sample; empty if they are."""
    if isinstance(target, Tensor) and target.dim() == 1 and not target.is_floating_point():
        return ""
    return "a mis-predicted sample needs a class: whole-number labels, one per sample (loss: cross_entropy)"
