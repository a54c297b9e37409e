"""Statistics of a node: what its incoming edges read, against its desired update."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dagrow.build.edge_weight import EdgeWeight, EdgeWeights
from dagrow.build.emit import edge_module
from dagrow.flop_counter import layer_output, spend
from dagrow.graph import Dag, feature_units
from dagrow.methods import CONSTANT, Metric, best_update
from dagrow.ops import Op
from dagrow.spec.graph import EdgeId
from dagrow.statistics.gram import with_constant


def weighted_edges(dag: Dag, node: str) -> tuple[EdgeId, ...]:
    """The edges into a node that have weights, in the order of the spec."""
    return tuple(edge for edge in dag.incoming[node] if dag.op(edge).parametrised)


def edge_widths(dag: Dag, node: str) -> dict[EdgeId, int]:
    """How many features each weighted edge into a node reads."""
    return {e: dag.op(e).feature_count(dag.output(e.source)) for e in weighted_edges(dag, node)}


def units_of(dag: Dag, edges: Sequence[EdgeId]) -> Tensor:
    """Which features of some edges side by side share a unit, the constant last; see `dagrow.methods.mean_squares`."""
    numbers: dict[str, int] = {}
    units: list[int] = []
    for edge in edges:
        for unit, count in feature_units(dag, edge):
            units += [numbers.setdefault(unit, len(numbers))] * count
    return torch.tensor([*units, CONSTANT])


def node_features(dag: Dag, node: str, outputs: dict[str, Tensor], like: Tensor) -> list[Tensor]:
    """The features of all weighted edges into a node and the constant.

    Args:
        dag: the graph.
        node: any.
        outputs: by node.
        like: ``[n, positions, any]``, values at the node.

    Returns:
        Blocks ``[n, positions, F_e]``; just the constant where no edge has weights.
    """
    blocks = [dag.op(e).features(outputs[e.source]) for e in weighted_edges(dag, node)]
    return with_constant(blocks, like)


def has_short_moments(dag: Dag, node: str) -> bool:
    """Whether `short_moments` knows the moments at a node: one edge with weights enters it, whose op has a gram."""
    edges = weighted_edges(dag, node)
    return len(edges) == 1 and dag.op(edges[0]).has_gram


def short_moments(dag: Dag, node: str, outputs: dict[str, Tensor], v: Tensor) -> tuple[Tensor, Tensor]:
    """``sum B^T B`` and ``sum B^T v`` at a node without its features being made, the constant last.

    Args:
        dag: the graph.
        node: one that `has_short_moments`.
        outputs: by node.
        v: as the node merges.

    Returns:
        ``[F, F]`` and ``[F, M]``.
    """
    (edge,) = weighted_edges(dag, node)
    op, x, source = dag.op(edge), outputs[edge.source], dag.output(edge.source)
    gram, axis = op.gram(x), dag.merged(node).batch_axis
    ones = torch.ones_like(v.narrow(axis, 0, 1))
    widened = torch.cat([v, ones], dim=axis)
    like = op.rows_to_weight(gram.new_zeros(widened.shape[axis], len(gram)), source)
    spend(widened.numel() * like[:1].numel())
    moment = op.weight_to_rows(op.weight_gradient(x, widened, like)).T
    N, total = moment[:, :-1], moment[:, -1:]
    S = torch.cat([torch.cat([gram, total], dim=1), torch.cat([total.T, ones.sum().view(1, 1)], dim=1)])
    return S, torch.cat([N, v.sum((0, *dag.merged(node).position_axes)).unsqueeze(0)])


@dataclass(frozen=True)
class NodeMoments:
    """Moments at one node; the constant is the last feature.

    Attributes:
        S: ``[F, F]``, ``E[B^T B]``.
        N: ``[F, M]``, ``E[B^T v_goal]``.
        v_goal_squared: ``E||v_goal||^2``.
        precision: dtype of the products.
        a_squared: ``E||a||^2`` of what the node merges.
    """

    S: Tensor
    N: Tensor
    v_goal_squared: float
    precision: torch.dtype
    a_squared: float = math.nan


@dataclass(frozen=True)
class UpdateBlock:
    """Output features of a node that are fitted together, and the features they may use.

    A sum node is one block; a concat has one per edge, a grouped convolution one per group.
    """

    outputs: slice
    features: Tensor


def weight_is_frozen(edge: EdgeId, frozen: Container[str]) -> bool:
    """Whether the weight of an edge is among the frozen parameters."""
    return f"{edge_module(edge)}.weight" in frozen


def bias_is_trained(dag: Dag, edge: EdgeId, frozen: Container[str]) -> bool:
    """Whether an edge has a bias that may change."""
    return dag.op(edge).has_bias and f"{edge_module(edge)}.bias" not in frozen


def movable(dag: Dag, edges: Sequence[EdgeId], blocks: Sequence[Tensor], frozen: Container[str]) -> list[Tensor]:
    """The features of some edges and the constant, with 0 for those whose weights cannot move.

    Args:
        dag: the graph.
        edges: with weights, into one node.
        blocks: their features, the constant last.
        frozen: names of parameters that stay as they are.
    """
    kept = [not weight_is_frozen(edge, frozen) for edge in edges]
    kept.append(any(bias_is_trained(dag, edge, frozen) for edge in edges))
    return [block if used else torch.zeros_like(block) for block, used in zip(blocks, kept, strict=True)]


def update_blocks(
    dag: Dag, node: str, used: Sequence[EdgeId] | None = None, frozen: Container[str] = ()
) -> tuple[UpdateBlock, ...]:
    """Splits the best update of a node, or of some edges into it, into independent least-squares problems."""
    edges, slots = weighted_edges(dag, node), dag.slots(node)
    widths = edge_widths(dag, node)
    starts = dict(zip(edges, _starts(list(widths.values())), strict=True))
    constant = torch.tensor([sum(widths.values())])
    borders: set[int] = set()
    for edge in edges:
        step = (slots[edge].stop - slots[edge].start) // dag.op(edge).output_groups
        borders.update(range(slots[edge].start, slots[edge].stop + 1, step))
    blocks = []
    ordered = sorted(borders)
    for low, high in itertools.pairwise(ordered):
        inside = [e for e in edges if slots[e].start <= low and high <= slots[e].stop and (used is None or e in used)]
        if not inside:
            continue
        trained = [e for e in inside if not weight_is_frozen(e, frozen)]
        parts = [starts[e] + _group(dag.op(e), slots[e], low, widths[e]) for e in trained]
        if any(bias_is_trained(dag, e, frozen) for e in inside):
            parts.append(constant)
        if not parts:
            continue
        blocks.append(UpdateBlock(slice(low, high), torch.cat(parts)))
    return tuple(blocks)


def _starts(widths: list[int]) -> list[int]:
    return [sum(widths[:i]) for i in range(len(widths))]


def _group(op: Op, slot: slice, low: int, width: int) -> Tensor:
    """Indices of the features that output ``low`` of an edge reads, from the edge's first."""
    groups = op.output_groups
    group = (low - slot.start) * groups // (slot.stop - slot.start)
    return torch.arange(group * width // groups, (group + 1) * width // groups)


def solve_update(
    dag: Dag,
    node: str,
    moments: NodeMoments,
    shrinkage: float = 0.0,
    edges: Sequence[EdgeId] | None = None,
    frozen: Container[str] = (),
) -> Tensor:
    """The best update of the edges into a node, jointly (thesis Prop. 3.2.2).

    Args:
        dag: the graph.
        node: which the edges enter.
        moments: over the features of all edges with weights.
        shrinkage: of the metric.
        edges: which are updated; all with weights if left out.
        frozen: names of parameters that stay as they are; the others make the best of it.

    Returns:
        ``[M, F]`` float64 over the features of these edges, the constant last; 0 where an edge has no such weight, or
        a frozen one.
    """
    S, N = moments.S, moments.N
    dW = S.new_zeros(N.shape[1], S.shape[0])
    units = units_of(dag, weighted_edges(dag, node)).to(S.device)
    for block in update_blocks(dag, node, edges, frozen):
        index = block.features.to(S.device)
        metric = Metric(S[index][:, index], shrinkage, moments.precision, units[index])
        dW[block.outputs, index] = best_update(metric, N[index, block.outputs])
    widths = edge_widths(dag, node)
    *parts, constant = torch.split(dW, [*widths.values(), 1], dim=1)
    kept = [part for edge, part in zip(widths, parts, strict=True) if edges is None or edge in edges]
    return torch.cat([*kept, constant], dim=1)


def split_update(
    dag: Dag,
    node: str,
    dW: Tensor,
    dtype: torch.dtype,
    edges: Sequence[EdgeId] | None = None,
    frozen: Container[str] = (),
) -> EdgeWeights:
    """Cuts ``dW [M, F]`` into a weight and a bias per edge.

    The constant is counted once: edges that carry a bias that is not frozen share its update.

    Args:
        dag: the graph.
        node: which the edges enter.
        dW: over the features of the edges, the constant last.
        dtype: of the weights.
        edges: whose features these are; all with weights if left out.
        frozen: names of parameters that stay as they are: their part is 0.
    """
    slots = dag.slots(node)
    widths = {edge: width for edge, width in edge_widths(dag, node).items() if edges is None or edge in edges}
    carriers = torch.zeros(dW.shape[0], dtype=dW.dtype, device=dW.device)
    for edge in widths:
        carriers[slots[edge]] += bias_is_trained(dag, edge, frozen)
    parts: EdgeWeights = {}
    start = 0
    for edge, width in widths.items():
        op, slot = dag.op(edge), slots[edge]
        rows = _own_group(op, dW[slot, start : start + width])
        if weight_is_frozen(edge, frozen):
            rows = torch.zeros_like(rows)
        bias = dW.new_zeros(slot.stop - slot.start).to(dtype) if op.has_bias else None
        if bias_is_trained(dag, edge, frozen):
            bias = (dW[slot, -1] / carriers[slot]).to(dtype)
        parts[edge] = EdgeWeight(op.rows_to_weight(rows.to(dtype), dag.output(edge.source)), bias)
        start += width
    return parts


def without_update(
    dag: Dag, node: str, dW: Tensor, v: Tensor, output: Callable[[str], Tensor], frozen: Container[str] = ()
) -> Tensor:
    """``v_goal - dW* B``, the update run as the edges themselves would.

    Args:
        dag: the graph.
        node: any.
        dW: its update, as `solve_update` gives it.
        v: ``v_goal`` there, as the node merges; it is left as it is.
        output: of a parent, for the same samples.
        frozen: names of parameters that stay as they are.
    """
    axis, left = dag.merged(node).batch_axis, v
    for edge, (weight, bias) in split_update(dag, node, dW, v.dtype, frozen=frozen).items():
        slot = dag.slots(node)[edge]
        done = layer_output(dag.op(edge).functional(output(edge.source), weight, bias), weight)
        if done.shape == v.shape:
            left = left - done
        else:
            left = v.clone() if left is v else left
            left.narrow(axis, slot.start, slot.stop - slot.start).sub_(done)
    return left


def _own_group(op: Op, rows: Tensor) -> Tensor:
    """Of each row, the columns of its own group: what a grouped weight holds."""
    if op.output_groups == 1:
        return rows
    count, width = rows.shape
    groups = rows.reshape(op.output_groups, count // op.output_groups, op.output_groups, -1)
    own = torch.arange(op.output_groups, device=rows.device)
    return groups[own, :, own].reshape(count, width // op.output_groups)
