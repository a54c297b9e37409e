"""All or nothing: spec, weights, buffers and optimizer change together.

Everything that can fail is prepared first, on new objects. The commit is a list of plain assignments, each
with its undo, so that even an error in the middle of it leaves all as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dagrow.build import Network
from dagrow.build.network import node_layers
from dagrow.errors import GrowthError
from dagrow.graph import Dag
from dagrow.mutation.edits import Edit
from dagrow.mutation.layers import layer_steps
from dagrow.mutation.optimizer_state import carried_state, check_supported, find_slot
from dagrow.mutation.steps import Step, Transaction, assignment
from dagrow.spec.graph import GraphSpec

_MODULE_INTERNALS = frozenset(vars(nn.Module()))


def prepare(
    network: Network,
    after: GraphSpec,
    edits: Sequence[Edit],
    optimizer: torch.optim.Optimizer | None,
    fresh: Mapping[str, Tensor] | None = None,
) -> Transaction:
    """Makes everything that the change needs, touching nothing.

    Args:
        network: to be changed by the commit.
        after: its spec afterwards.
        edits: one per tensor that changes.
        optimizer: whose state goes along; None for none.
        fresh: the tensors of layers that are new.

    Raises:
        GrowthError: if the edits do not fit the spec.
        OptimizerError: if the optimizer's state cannot be carried.
    """
    if optimizer is not None:
        check_supported(optimizer)
    dag = Dag.of(after)
    transaction = Transaction()
    _refit_layers(transaction, network, dag, edits)
    for edit in edits:
        _replace_tensor(transaction, network, edit, optimizer)
    transaction.add(*layer_steps(network, dag, fresh or {}, optimizer))
    transaction.add(assignment(network, "spec", after))
    return transaction


def _refit_layers(transaction: Transaction, network: Network, dag: Dag, edits: Sequence[Edit]) -> None:
    """Gives each layer that changes size the attributes of a layer made for the new size.

    The layer object stays, with its hooks and mode; only what its constructor sets (in_features, ...) moves.
    """
    shapes = {edit.name: tuple(edit.value.shape) for edit in edits}
    for path in dict.fromkeys(edit.name.rpartition(".")[0] for edit in edits):
        node, _, key = path.partition(".")
        with torch.device("meta"):
            fresh, stale = node_layers(dag, node)[key], node_layers(network.dag, node)[key]
        layer = network.get_submodule(path)
        for name, tensor in [*fresh.named_parameters(), *fresh.named_buffers()]:
            found = shapes.get(f"{path}.{name}", tuple(layer.state_dict()[name].shape))
            if found != tuple(tensor.shape):
                raise GrowthError(f"{path}.{name} would have shape {list(found)}, the spec needs {list(tensor.shape)}")
        for name, value in vars(fresh).items():
            # What a person set on the layer (the momentum of a norm, say) is not a matter of size, and stays.
            if name not in _MODULE_INTERNALS and vars(stale).get(name) != value:
                transaction.add(assignment(layer, name, value))


def _replace_tensor(
    transaction: Transaction, network: Network, edit: Edit, optimizer: torch.optim.Optimizer | None
) -> None:
    path, _, name = edit.name.rpartition(".")
    layer = network.get_submodule(path)
    if name not in layer._parameters:
        transaction.add(assignment(layer, name, edit.value))
        return
    old: nn.Parameter = getattr(layer, name)
    if old.shape == edit.value.shape:
        # Only the values change: the same parameter, its optimizer state and gradient stay.
        transaction.add(assignment(old, "data", edit.value))
        return
    new = nn.Parameter(edit.value, requires_grad=old.requires_grad)
    if old.grad is not None:
        new.grad = edit.carry(old.grad, torch.zeros_like(new))
    if optimizer is not None:
        _replace_in_optimizer(transaction, optimizer, old, new, edit)
    transaction.add(assignment(layer, name, new))


def _replace_in_optimizer(
    transaction: Transaction,
    optimizer: torch.optim.Optimizer,
    old: nn.Parameter,
    new: nn.Parameter,
    edit: Edit,
) -> None:
    slot = find_slot(optimizer, old)
    if slot is None:
        return
    group, index = slot
    state = carried_state(optimizer, slot, old, new, edit)
    previous = optimizer.state.get(old)
    params: list[Tensor] = group["params"]

    def do() -> None:
        params[index] = new
        optimizer.state.pop(old, None)
        if state is not None:
            optimizer.state[new] = state

    def undo() -> None:
        params[index] = old
        optimizer.state.pop(new, None)
        if previous is not None:
            optimizer.state[old] = previous

    transaction.add(Step(do, undo))
