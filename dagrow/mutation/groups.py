"""Parameter groups through growth: who holds what, where new parameters go, and in which order they stand.

A group lists the parameters of the network in the order of ``named_parameters``, as a new optimizer over the grown
network would: the state dict of an optimizer knows parameters by their numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from dagrow.build import Network
from dagrow.build.units import UNIT_AXIS, unit_axes
from dagrow.errors import OptimizerError
from dagrow.graph import Dag
from dagrow.mutation.operations import Operation, entry
from dagrow.mutation.optimizer_state import check_supported, check_takes

NAMES = "param_names"
"""Entry of the groups of an optimizer that was made of named parameters (torch 2.6 and later)."""


_ORDERS: tuple[Callable[[int, nn.Parameter], Any], ...] = (
    lambda number, parameter: number,
    lambda number, parameter: (parameter.dim() <= 1, number),
    lambda number, parameter: (parameter.dim() > 1, number),
    lambda number, parameter: -number,
)
"""In which people list the parameters of one group: as they are named, weights first, weights last, turned round.

Sorting keys of a parameter's number among the named ones, and of itself."""


class Slot(NamedTuple):
    """A parameter group and the optimizer that it is of."""

    optimizer: torch.optim.Optimizer
    group: dict[str, Any]


def as_optimizers(given: object) -> tuple[torch.optim.Optimizer, ...]:
    """One optimizer, several or none, as a tuple.

    Raises:
        OptimizerError: if something else is among them, or one whose state cannot be carried.
    """
    found = () if given is None else tuple(given) if isinstance(given, (list, tuple)) else (given,)
    for optimizer in found:
        check_supported(optimizer)
    return found


def slots_of(optimizers: Iterable[torch.optim.Optimizer], parameter: nn.Parameter) -> list[Slot]:
    """The groups that hold a parameter; none where it is not trained."""
    return [
        Slot(optimizer, group)
        for optimizer in optimizers
        for group in optimizer.param_groups
        if any(held is parameter for held in group["params"])
    ]


def check_holding(network: Network, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Refuses optimizers that leave out weights of the graph: after growth, nobody could tell who trains what.

    Raises:
        OptimizerError: that names one which is trainable and held by none.
    """
    if not optimizers:
        return
    held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    own = dict(network.named_parameters())
    if own and not any(id(parameter) in held for parameter in own.values()):
        raise OptimizerError(
            "the optimizer holds no parameter of this network: it was made for another one, or for a copy; make it of "
            "model.parameters()"
        )
    left_out = [
        n for n, p in own.items() if p.requires_grad and id(p) not in held and _role(network.dag, n) is not None
    ]
    if left_out:
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        raise OptimizerError(
            f"no optimizer holds {left_out[0]}{more}, which requires a gradient: give every optimizer of the network "
            "as a list, or freeze what is not to be trained by requires_grad_(False)"
        )


@dataclass(frozen=True)
class Regrouping:
    """What becomes of the parameters of a network.

    Attributes:
        before: by name, in the order of ``named_parameters``.
        after: likewise, once the change is made.
        replaced: new objects in the place of old ones, by the identity of the old ones.
        dag: the graph afterwards.
    """

    before: Mapping[str, nn.Parameter]
    after: Mapping[str, nn.Parameter]
    replaced: Mapping[int, nn.Parameter]
    dag: Dag

    def steps(self, network: Network, optimizers: Sequence[torch.optim.Optimizer]) -> list[Operation]:
        """Steps that give every group the parameters that it holds afterwards.

        Raises:
            OptimizerError: if a new parameter is none that its optimizer can train.
        """
        groups = [Slot(optimizer, group) for optimizer in optimizers for group in optimizer.param_groups]
        joining: dict[int, list[str]] = {}
        known = {*map(id, self.before.values()), *map(id, self.replaced.values())}
        fresh = [name for name, parameter in self.after.items() if id(parameter) not in known]
        if fresh and groups:
            siblings = _Siblings.of(self, network.dag, groups)
            axes = unit_axes(self.dag)
            for name in fresh:
                slot = _of_axis(groups, siblings.slot(name), axes.get(name, 0))
                check_takes(slot.optimizer, slot.group, self.after[name])
                joining.setdefault(id(slot.group), []).append(name)
        return [step for slot in groups for step in self._group_steps(slot.group, joining.get(id(slot.group), []))]

    def _group_steps(self, group: dict[str, Any], joining: Sequence[str]) -> list[Operation]:
        old = {id(p): name for name, p in self.before.items()}
        numbers = {id(p): number for number, p in enumerate(self.after.values())}
        labels = group.get(NAMES, [None] * len(group["params"]))
        members: list[tuple[nn.Parameter, str | None]] = []
        for parameter, label in zip(group["params"], labels, strict=True):
            now = self.replaced.get(id(parameter), parameter)
            if id(parameter) not in old or id(now) in numbers:
                members.append((now, label))
        stood = {id(p): number for number, p in enumerate(self.before.values())}
        own = [(stood[id(p)], p) for p in group["params"] if id(p) in stood]
        order = next((order for order in _ORDERS if own == sorted(own, key=lambda member: order(*member))), None)
        prefix = _prefix(zip(group["params"], labels, strict=True), old)
        new = [(self.after[name], f"{prefix}{name}") for name in joining]
        members = _merged(members, new, numbers, order)
        params = [parameter for parameter, _ in members]
        if len(params) == len(group["params"]) and all(p is q for p, q in zip(params, group["params"], strict=True)):
            return []
        steps = [entry(group, "params", params)]
        if NAMES in group:
            steps.append(entry(group, NAMES, [label for _, label in members]))
        return steps


def _merged(
    members: list[tuple[nn.Parameter, str | None]],
    new: Sequence[tuple[nn.Parameter, str]],
    numbers: Mapping[int, int],
    order: Callable[[int, nn.Parameter], Any] | None,
) -> list[tuple[nn.Parameter, str | None]]:
    """Members of a group and new ones together; parameters of other modules stay before or behind those of the network.

    Args:
        members: as they stand.
        new: to join them.
        numbers: of the network's parameters, by identity.
        order: that the members stood in. None for one of a person's own: it is kept, and each new one goes behind the
            one that it follows.
    """
    if order is not None:
        first = next((i for i, (p, _) in enumerate(members) if id(p) in numbers), len(members))
        own = [member for member in members if id(member[0]) in numbers]
        rest = [member for member in members[first:] if id(member[0]) not in numbers]
        own = sorted([*own, *new], key=lambda member: order(numbers[id(member[0])], member[0]))
        return [*members[:first], *own, *rest]
    merged = list(members)
    for parameter, label in sorted(new, key=lambda member: numbers[id(member[0])]):
        number = numbers[id(parameter)]
        earlier = [(numbers[id(p)], i) for i, (p, _) in enumerate(merged) if numbers.get(id(p), number) < number]
        merged.insert(max(earlier)[1] + 1 if earlier else 0, (parameter, label))
    return merged


def _prefix(held: Iterable[tuple[nn.Parameter, str | None]], names: Mapping[int, str]) -> str:
    """What a person's names of parameters have before the network's own."""
    for parameter, label in held:
        name = names.get(id(parameter))
        if name is not None and label is not None and label.endswith(name):
            return label[: len(label) - len(name)]
    return ""


def _role(dag: Dag, name: str) -> str | None:
    """What a parameter is: ``weight`` or ``bias`` of an edge, else its name below its node; None if not the graph's."""
    node, _, rest = name.partition(".")
    layer, _, key = rest.partition(".")
    if node not in dag.spec.nodes or not key:
        return None
    edge = layer.startswith("from_") and any(f"from_{edge.source}" == layer for edge in dag.incoming[node])
    return key if edge else f"{layer}.{key}"


class _Siblings:
    """The parameters beside which new ones go: near ones, but of a kind that a person does not keep apart from theirs.

    Args:
        roles: of every held parameter, with its node and groups, in the order of names.
        dags: the graph afterwards and before.
        groups: all of them.
    """

    def __init__(self, roles: Sequence[tuple[str, str, Slot]], after: Dag, groups: Sequence[Slot]) -> None:
        self.held, self.after, self.groups = roles, after, groups
        self.of_role: dict[str, set[int]] = {}
        for role, _, slot in roles:
            self.of_role.setdefault(role, set()).add(id(slot.group))

    @staticmethod
    def of(change: Regrouping, before: Dag, groups: Sequence[Slot]) -> _Siblings:
        """As the network is before the change: what is lost still says where it belonged."""
        optimizers = list(dict.fromkeys(slot.optimizer for slot in groups))
        found = []
        for name, parameter in change.before.items():
            role = _role(before, name)
            if role is not None:
                found += [(role, name.partition(".")[0], slot) for slot in slots_of(optimizers, parameter)]
        return _Siblings(found, change.dag, groups)

    def slot(self, name: str) -> Slot:
        """The group for a new parameter."""
        node, role = name.partition(".")[0], _role(self.after, name)
        assert role is not None
        near = [node, *(e.target for e in self.after.outgoing[node]), *(e.source for e in self.after.incoming[node])]

        def far(held: tuple[str, str, Slot]) -> tuple[int, bool]:
            return (near.index(held[1]) if held[1] in near else len(near), held[0] != role)

        fitting = [held for held in self.held if self._go_together(role, held[0])]
        if fitting:
            return min(fitting, key=far)[2]
        # A group without parameters waits for those that have none yet.
        empty = next((slot for slot in self.groups if not slot.group["params"]), None)
        if empty is not None or not self.held:
            return empty or self.groups[0]
        return min(self.held, key=far)[2]

    def _go_together(self, role: str, other: str) -> bool:
        """Whether parameters of two roles share a group, or would: biases and the weights of norms alike."""
        if role == other:
            return True
        if role in self.of_role:
            return not self.of_role[role].isdisjoint(self.of_role[other])
        return "weight" not in (role, other)


def _of_axis(groups: Sequence[Slot], slot: Slot, axis: int) -> Slot:
    """A group like this one whose weights count units along the axis; this one, where groups do not say or none is."""
    like = slot.group
    if like.get(UNIT_AXIS, axis) == axis:
        return slot
    wanted = {**like, "params": None, NAMES: None, UNIT_AXIS: axis}
    same = (s for s in groups if s.optimizer is slot.optimizer and {**s.group, "params": None, NAMES: None} == wanted)
    return next(same, slot)


def parameters_of(module: nn.Module, tables: Mapping[int, Mapping[str, nn.Module | None]]) -> dict[str, nn.Parameter]:
    """The named parameters of a module as if some modules in it had other tables of submodules.

    Args:
        module: any.
        tables: by the identity of the module.
    """
    found: dict[str, nn.Parameter] = {}
    known: set[int] = set()
    for prefix, part in _modules(module, tables, "", set()):
        for key, parameter in part._parameters.items():
            if parameter is not None and id(parameter) not in known:
                known.add(id(parameter))
                found[f"{prefix}{key}"] = parameter
    return found


def _modules(
    module: nn.Module, tables: Mapping[int, Mapping[str, nn.Module | None]], prefix: str, seen: set[int]
) -> Iterator[tuple[str, nn.Module]]:
    if id(module) in seen:
        return
    seen.add(id(module))
    yield prefix, module
    for key, part in tables.get(id(module), module._modules).items():
        if part is not None:
            yield from _modules(part, tables, f"{prefix}{key}.", seen)
