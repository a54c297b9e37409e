"""Makes a change: new features, updates, nodes and edges of one insertion, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from dagrow.build import Network
from dagrow.build.edge_weight import EdgeWeight
from dagrow.build.emit import edge_module
from dagrow.errors import GrowthError
from dagrow.graph import Dag, Structure
from dagrow.mutation.averages import averaged_networks
from dagrow.mutation.change import Change, NewFeatures
from dagrow.mutation.frozen import frozen_problem
from dagrow.mutation.groups import as_optimizers, check_holding
from dagrow.mutation.operations import Transaction
from dagrow.mutation.tensor_edits import Edit, added
from dagrow.mutation.transaction import prepare
from dagrow.mutation.widen import widen_edits, widened_spec
from dagrow.ops import NORMS
from dagrow.spec.graph import EdgeId


def apply_change(
    network: Network,
    change: Change,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None = None,
    averages: Sequence[AveragedModel] = (),
) -> None:
    """Changes the network in place: spec, weights, buffers, optimizer and averages, or nothing at all.

    Args:
        network: to change.
        change: at the size in which it is to be inserted.
        optimizer: whose parameter groups and state go along; a list where several share the network.
        averages: of the network's weights, which go along.

    Raises:
        GrowthError: if the change was made for another network, would move or take away frozen weights, or leave
            neurons that frozen weights keep silent; or if an average is that of another network.
        OptimizerError: if an optimizer's state cannot be carried, or a weight that is trained is in none.
    """
    optimizers = as_optimizers(optimizer)
    check_holding(network, optimizers)
    if problem := frozen_problem(network, change):
        raise GrowthError(f"{problem}; let it require a gradient, or insert something else")
    transaction = _prepared(network, change, optimizers)
    for average in averaged_networks(network, averages):
        transaction.add(*_prepared(average, change, ()).steps)
    transaction.commit()


def _prepared(network: Network, change: Change, optimizers: Sequence[torch.optim.Optimizer]) -> Transaction:
    """All steps that make the change, and none of them made."""
    dag, structure = network.dag, change.structure or Structure()
    state = {key: value.detach() for key, value in network.state_dict(keep_vars=True).items()}
    edits: dict[str, Edit] = {}
    fresh: dict[str, Tensor] = {}
    gone = structure.gone(dag.spec)
    for update in change.all_updates:
        for edge, weights in update.weights.items():
            if edge in structure.edges:
                fresh.update(weights.entries(structure.edges[edge], edge))
            elif edge not in gone:
                for edit in _update_edits(state, dag, edge, weights):
                    # An edit is made from the updated values, so the last one of a tensor has them all.
                    edits[edit.name], state[edit.name] = edit, edit.value
    after, features = structure.applied(dag.spec), change.all_features
    if features is not None and features.node in dag.spec.nodes:
        after = widened_spec(dag, features.node, features.count)
        edits.update({edit.name: edit for edit in widen_edits(state, dag, features)})
    elif features is not None:
        fresh.update(_new_node(features, Dag.of(after)))
        fresh.update({f"{edge_module(edge)}.bias": bias for edge, bias in change.constant.biases.items()})
    return prepare(network, after, list(edits.values()), optimizers, fresh)


def _update_edits(state: dict[str, Tensor], dag: Dag, edge: EdgeId, weights: EdgeWeight) -> list[Edit]:
    if edge not in dag.spec.edges:
        raise GrowthError(f"the change was made for another network: the edge {edge} does not fit")
    edits = []
    for name, change in weights.entries(dag.op(edge), edge).items():
        if name not in state or state[name].shape != change.shape:
            raise GrowthError(f"the change was made for another network: {name} does not fit")
        if not bool((change != 0).any()):
            # Frozen weights, mostly: not even the sign of a 0 changes.
            continue
        edits.append(added(name, state[name], change))
    return edits


def _new_node(features: NewFeatures, after: Dag) -> dict[str, Tensor]:
    """The tensors of a new node: edges into it and out of it, and its norm."""
    fresh: dict[str, Tensor] = {}
    for edge, weights in features.fan_in.items():
        fresh.update(weights.entries(after.op(edge), edge))
    for edge, weight in features.fan_out.items():
        fresh.update(EdgeWeight(weight, None).entries(after.op(edge), edge))
    norm = after.node(features.node).norm
    if norm != "none":
        entries = NORMS[norm].new_entries(*features.statistics[features.node])
        entries.update(zip(("weight", "bias"), features.learned.get(features.node, ()), strict=False))
        fresh.update({f"{features.node}.norm.{key}": entry for key, entry in entries.items()})
    return fresh
