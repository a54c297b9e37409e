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
from dagrow.mutation.groups import Regrouping, parameters_of, slots_of
from dagrow.mutation.layers import layer_steps
from dagrow.mutation.operations import Transaction, assignment, move_state, removal
from dagrow.mutation.optimizer_state import carried_state
from dagrow.mutation.tensor_edits import Edit
from dagrow.spec.graph import GraphSpec

_MODULE_INTERNALS = frozenset(vars(nn.Module()))


def prepare(
    network: Network,
    after: GraphSpec,
    edits: Sequence[Edit],
    optimizers: Sequence[torch.optim.Optimizer] = (),
    fresh: Mapping[str, Tensor] | None = None,
) -> Transaction:
    """Makes everything that the change needs, touching nothing.

    Args:
        network: to be changed by the commit.
        after: its spec afterwards.
        edits: one per tensor that changes.
        optimizers: whose groups and state go along.
        fresh: the tensors of layers that are new.

    Raises:
        GrowthError: if the edits do not fit the spec, or something of a person's own is in the way.
        OptimizerError: if the state of an optimizer cannot be carried.
    """
    dag = Dag.of(after)
    transaction = Transaction()
    _refit_layers(transaction, network, dag, edits)
    replaced: dict[int, nn.Parameter] = {}
    for edit in edits:
        _replace_tensor(transaction, network, edit, optimizers, replaced)
    steps, tables = layer_steps(network, dag, fresh or {})
    transaction.add(*steps)
    if optimizers:
        before = dict(network.named_parameters())
        named = {name: replaced.get(id(p), p) for name, p in parameters_of(network, tables).items()}
        transaction.add(*Regrouping(before, named, replaced, dag).steps(network, optimizers))
        stay = {*map(id, named.values()), *replaced}
        lost = [parameter for parameter in before.values() if id(parameter) not in stay]
        transaction.add(*(removal(o.state, p) for o in optimizers for p in lost if p in o.state))
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
    transaction: Transaction,
    network: Network,
    edit: Edit,
    optimizers: Sequence[torch.optim.Optimizer],
    replaced: dict[int, nn.Parameter],
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
    new = replaced[id(old)] = _successor(old, edit)
    for optimizer, group in slots_of(optimizers, old):
        transaction.add(move_state(optimizer, old, new, carried_state(optimizer, group, old, new, edit)))
    transaction.add(assignment(layer, name, new))


def _successor(old: nn.Parameter, edit: Edit) -> nn.Parameter:
    """The parameter of the new size: with the gradient, the hooks and the attributes of the old one."""
    new = nn.Parameter(edit.value, requires_grad=old.requires_grad)
    vars(new).update(vars(old))
    if old.grad is not None:
        new.grad = edit.carry(old.grad, torch.zeros_like(new))
    for table in ("_backward_hooks", "_post_accumulate_grad_hooks"):
        # The tables themselves, so that a person's handles still remove what they stand for.
        if hooks := getattr(old, table):
            setattr(new, table, hooks)
    return new
