"""Makes a change: new features and updates of one insertion, in one transaction."""

from __future__ import annotations

import torch

from dagrow.build import Network
from dagrow.build.emit import edge_module
from dagrow.errors import GrowthError
from dagrow.graph import Dag
from dagrow.mutation.change import Change, WeightUpdate
from dagrow.mutation.edits import Edit, added
from dagrow.mutation.transaction import prepare
from dagrow.mutation.widen import widen_edits, widened_spec


def apply_change(network: Network, change: Change, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Changes the network in place: spec, weights, buffers and optimizer, or nothing at all.

    Args:
        network: to change.
        change: at the size in which it is to be inserted.
        optimizer: whose parameter groups and state go along.

    Raises:
        GrowthError: if the change was made for another network.
        OptimizerError: if the optimizer's state cannot be carried.
    """
    dag, after = network.dag, network.spec
    state = {key: value.detach() for key, value in network.state_dict(keep_vars=True).items()}
    edits: dict[str, Edit] = {}
    steps = [_update_edits(state, dag, update) for update in change.updates]
    for edit in (edit for step in steps for edit in step):
        edits[edit.name] = edit
        state[edit.name] = edit.value
    if change.features is not None:
        after = widened_spec(dag, change.features.node, change.features.count)
        # Made from the updated values, so an edit of the same tensor contains the update.
        edits.update({edit.name: edit for edit in widen_edits(state, dag, change.features)})
    prepare(network, after, list(edits.values()), optimizer).commit()


def _update_edits(state: dict[str, torch.Tensor], dag: Dag, update: WeightUpdate) -> list[Edit]:
    edits = []
    for edge, (weight, bias) in update.weights.items():
        op = dag.spec.edges.get(edge)
        for key, change in (("weight", weight if op is None else op.stored(weight)), ("bias", bias)):
            name = f"{edge_module(edge)}.{key}"
            if change is None:
                continue
            if name not in state or state[name].shape != change.shape:
                raise GrowthError(f"the change was made for another network: {name} does not fit")
            edits.append(added(name, state[name], change))
    return edits
