"""Units taken away: their rows, the columns that read them, their entries in the norms on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from dagrow.build import Network
from dagrow.build.units import Block, fan_ins, reading_block
from dagrow.errors import GrowthError
from dagrow.graph import Dag, GrowableNode, NotGrowable, in_concat, site
from dagrow.mutation.averages import averaged_networks
from dagrow.mutation.groups import as_optimizers, check_holding
from dagrow.mutation.tensor_edits import Edit, removed
from dagrow.mutation.transaction import prepare
from dagrow.mutation.widen import widened_spec
from dagrow.ops import NORMS


def remove_units(
    network: Network,
    node: str,
    gone: Tensor,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None = None,
    averages: Sequence[AveragedModel] = (),
) -> None:
    """Takes units of a node away, in place: spec, weights, buffers and optimizer, or nothing at all.

    The function stays the same if they are zero units (Philipp & Carbonell 2017, section 3).

    Args:
        network: to change.
        node: that loses units.
        gone: ``[size]``, which of them; one at least must stay.
        optimizer: whose parameter groups and state go along; a list where several share the network.
        averages: of the network's weights, lose the same units.

    Raises:
        GrowthError: if the size of the node is fixed, no unit would be left, or an average is that of another network.
        OptimizerError: if the optimizer's state cannot be carried.
    """
    dag = network.dag
    place = site(dag, node) if node in dag.spec.nodes else NotGrowable(node, "the graph has no such node")
    if isinstance(place, NotGrowable):
        raise GrowthError(f"'{node}' cannot lose units: {place.reason}")
    size, count = dag.size(node), int(gone.sum())
    if gone.shape != (size,) or count >= size:
        raise GrowthError(f"'{node}' has {size} units, of which one must stay: {count} cannot be taken away")
    if count:
        optimizers = as_optimizers(optimizer)
        check_holding(network, optimizers)
        after = widened_spec(dag, node, -count)
        transaction = prepare(network, after, _removals(network, place, gone), optimizers)
        for average in averaged_networks(network, averages):
            transaction.add(*prepare(average, after, _removals(average, place, gone)).steps)
        transaction.commit()


def _removals(network: Network, place: GrowableNode, gone: Tensor) -> list[Edit]:
    state = network.state_dict(keep_vars=True)
    edits: dict[str, Edit] = {}
    for block in _blocks(state, network.dag, place):
        edits[block.key] = _removed(state[block.key].detach(), block, gone)
    return list(edits.values())


def _blocks(state: dict[str, Tensor], dag: Dag, place: GrowableNode) -> Iterator[Block]:
    """Every tensor that has entries of the units."""
    for side in fan_ins(dag):
        if side.node == place.node:
            yield from side.blocks
    yield from _norm_blocks(state, dag, place.node, 0, 1)
    for number, reading in enumerate(place.readings):
        yield reading_block(dag, place, number)
        for index, name in enumerate(reading.through):
            yield from _norm_blocks(state, dag, name, *in_concat(dag, place.node, reading, index))


def _norm_blocks(state: dict[str, Tensor], dag: Dag, name: str, start: int, width: int) -> Iterator[Block]:
    norm = dag.node(name).norm
    if norm != "none":
        for key in NORMS[norm].new_entries(torch.zeros(0), torch.zeros(0)):
            if f"{name}.norm.{key}" in state:
                yield Block(f"{name}.norm.{key}", 0, start, width)


def _removed(old: Tensor, block: Block, gone: Tensor) -> Edit:
    entries = torch.zeros(old.shape[block.axis], dtype=torch.bool)
    entries[block.start : block.start + len(gone) * block.width] = gone.cpu().repeat_interleave(block.width)
    return removed(block.key, old, block.axis, entries)
