"""Tensors of a module in a new size: put in place of the old ones wherever these are held, with gradient and state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dagrow.capture import named_tensors
from dagrow.errors import OptimizerError
from dagrow.mutation.groups import slots_of
from dagrow.mutation.operations import Operation, entry, move_state
from dagrow.mutation.optimizer_state import carried_state
from dagrow.mutation.tensor_edits import Edit, in_layout_of
from dagrow.resize.start import Start


@dataclass(frozen=True)
class Replacement:
    """A tensor of a module and the one that comes in its place.

    Attributes:
        name: of the tensor, the first of all its names.
        old: as it is.
        new: of the new size; a parameter where the old one is.
        edit: the new value, and where old entries are now.
        fresh: ``[new shape]``, whether each entry is new.
    """

    name: str
    old: Tensor
    new: Tensor
    edit: Edit
    fresh: Tensor


def replacements(model: nn.Module, start: Start, like: Mapping[str, Replacement] | None = None) -> list[Replacement]:
    """The tensors that change, in their new sizes.

    Args:
        model: the module, or an average of it.
        start: how it grows.
        like: of the module itself, for an average: new entries have the values that they have there.
    """
    found, seen = [], set[int]()
    for name, old in named_tensors(model):
        if id(old) in seen or name not in start.analysis.tensors or not start.touches(name):
            continue
        seen.add(id(old))
        value, moved = start.value(name, old.detach())
        fresh = torch.ones(value.shape, dtype=torch.bool, device=value.device)
        edit = Edit(name, in_layout_of(old, value.to(old)), moved)
        fresh = edit.carry(torch.zeros(old.shape, dtype=torch.bool, device=value.device), fresh)
        if like is not None:
            value = torch.where(fresh, like[name].edit.value.to(value), value)
            edit = Edit(name, in_layout_of(old, value.to(old)), moved)
        found.append(Replacement(name, old, _successor(old, edit), edit, fresh))
    return found


def holding_steps(model: nn.Module, found: Sequence[Replacement]) -> list[Operation]:
    """Steps that put the new tensors in place wherever a submodule holds the old ones."""
    by_id = {id(each.old): each for each in found}
    steps = []
    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for key, tensor in table.items():
                if tensor is not None and id(tensor) in by_id:
                    steps.append(entry(table, key, by_id[id(tensor)].new))
    return steps


def optimizer_steps(optimizers: Sequence[torch.optim.Optimizer], found: Sequence[Replacement]) -> list[Operation]:
    """Steps that give optimizers the new parameters at the places of the old ones, with their states.

    Raises:
        OptimizerError: if a state cannot be carried, or a parameter is in no optimizer.
    """
    steps: list[Operation] = []
    new_of = {id(each.old): each.new for each in found if isinstance(each.old, nn.Parameter)}
    for each in found:
        if not isinstance(each.old, nn.Parameter) or not isinstance(each.new, nn.Parameter):
            continue
        slots = slots_of(optimizers, each.old)
        if optimizers and not slots and each.old.requires_grad:
            raise OptimizerError(
                f"no optimizer holds {each.name}, which grows: give every optimizer of the model as a list, each made "
                "of model.parameters() or parts of it"
            )
        for optimizer, group in slots:
            state = carried_state(optimizer, group, each.old, each.new, each.edit)
            steps.append(move_state(optimizer, each.old, each.new, state))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            params = [new_of.get(id(p), p) for p in group["params"]]
            if any(p is not q for p, q in zip(params, group["params"], strict=True)):
                steps.append(entry(group, "params", params))
    return steps


def _successor(old: Tensor, edit: Edit) -> Tensor:
    """A tensor of the new size: of a parameter a parameter, with gradient, hooks and attributes."""
    if not isinstance(old, nn.Parameter):
        return edit.value
    new = nn.Parameter(edit.value, requires_grad=old.requires_grad)
    vars(new).update(vars(old))
    if old.grad is not None:
        new.grad = edit.carry(old.grad, torch.zeros_like(new))
    for table in ("_backward_hooks", "_post_accumulate_grad_hooks"):
        if hooks := getattr(old, table):
            setattr(new, table, hooks)
    return new
