"""Channel spaces: the dimensions of a module that grow as one, their members, and why some cannot grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dagrow.capture.analysis import Analysis
from dagrow.capture.dims import Dim, atoms
from dagrow.capture.rules.context import KERNEL, PACKED, PICKED, POSITION, VOCABULARY
from dagrow.capture.values import Normalisation, Role

NO_CHANNELS = (KERNEL, PACKED, PICKED, POSITION, VOCABULARY)
"""Reasons that say that a dimension is none of channels; these are not listed."""


_MOVING = {Role.MEAN, Role.VARIANCE}


@dataclass(frozen=True)
class Member:
    """An axis of a tensor of the module that a space is part of.

    Attributes:
        name: of the tensor.
        axis: of it.
        roles: what the axis is to the channels of the space.
        extent: of the axis.
        places: entries of the axis per channel of the space.
    """

    name: str
    axis: int
    roles: tuple[Role, ...]
    extent: int
    places: int

    def __str__(self) -> str:
        what = " and ".join(role.value for role in self.roles) or "holds"
        times = f", {self.places} of each" if self.places > 1 else ""
        return f"{self.name} axis {self.axis} ({self.extent}{times}) {what}"


@dataclass(frozen=True, eq=False)
class Space:
    """Channels that grow as one.

    Attributes:
        name: after its first writer: ``layer1.0.conv1:out``.
        size: how many channels.
        members: axes of the module's tensors that it is in.
        reason: why it cannot grow; empty if it can.
        kind: ``plain``, ``layer_norm`` or ``rms_norm``: what normalises over it.
        dims: its atoms; the first is what is written, the others are what norms make of it.
        label: what it is in attention: ``heads``, ``query_key``, ``value``, ``groups``; empty if nothing of these.
        normalisations: over it.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    reason: str
    kind: str
    dims: tuple[Dim, ...]
    label: str
    normalisations: tuple[Normalisation, ...]

    @property
    def grows(self) -> bool:
        """Whether it can grow."""
        return not self.reason

    def __str__(self) -> str:
        head = f"{self.name}: {self.size}" + (f", fixed: {self.reason}" if self.reason else "")
        return "\n".join([head, *[f"  {member}" for member in self.members]])


def find_spaces(analysis: Analysis) -> tuple[Space, ...]:
    """The spaces of a module, in the order of its tensors."""
    components = _components(analysis)
    found, names = [], set[str]()
    for dims in components:
        members = _members(analysis, dims)
        if not members or any(reason in NO_CHANNELS for reason in dims[0].reasons):
            continue
        if dims[0].size <= 1 and not _is_between_layers(members):
            continue
        normalisations = tuple(n for n in analysis.found.normalisations if n.before.now in dims)
        kind = normalisations[0].kind if normalisations else "plain"
        label = _label(analysis, dims[0])
        name = _name(analysis, dims, label, names)
        reason = _reason(analysis, dims, members, normalisations)
        found.append(Space(name, dims[0].size, members, reason, kind, dims, label, normalisations))
    return tuple(found)


def _is_between_layers(members: Sequence[Member]) -> bool:
    """Whether some layer writes it and some layer reads it."""
    roles = {role for member in members for role in member.roles}
    return {Role.WRITE, Role.READ} <= roles


def _label(analysis: Analysis, atom: Dim) -> str:
    labels = {label for dim, label in analysis.found.labels if atom in atoms(dim)}
    if {"query_key", "value"} <= labels:
        return "head_size"
    contracted = any(atom in atoms(dim) for dim in analysis.found.contracted)
    return min(labels, default="query_key" if contracted else "")


def _components(analysis: Analysis) -> list[tuple[Dim, ...]]:
    """Atoms in the order of the module's tensors, each with those that are coupled to it; written ones first."""
    order: dict[Dim, None] = {}
    for dims in analysis.tensors.values():
        for dim in dims:
            order.update(dict.fromkeys(atoms(dim)))
    for one, other in analysis.found.coupled:
        order.update(dict.fromkeys([*atoms(one), *atoms(other)]))
    near: dict[Dim, list[Dim]] = {atom: [] for atom in order}
    for one, other in analysis.found.coupled:
        for a, b in zip(atoms(one), atoms(other), strict=False):
            near[a].append(b)
            near[b].append(a)
    after = {atom for norm in analysis.found.normalisations for atom in atoms(norm.after)}
    found, seen = [], set[Dim]()
    for atom in order:
        if atom in seen:
            continue
        part, queue = [], [atom]
        seen.add(atom)
        while queue:
            part.append(queue.pop(0))
            queue += [each for each in dict.fromkeys(near[part[-1]]) if each not in seen]
            seen.update(queue)
        found.append(tuple(sorted(part, key=lambda each: (each in after, list(order).index(each)))))
    return found


def _members(analysis: Analysis, dims: Sequence[Dim]) -> tuple[Member, ...]:
    roles: dict[tuple[str, int], dict[Role, None]] = {}
    for use in analysis.found.uses:
        roles.setdefault((use.name, use.axis), {})[use.role] = None
    members = []
    for name, own in analysis.tensors.items():
        if analysis.aliases.get(name, name) != name:
            continue
        for axis, dim in enumerate(own):
            inside = atoms(dim)
            if any(atom in dims for atom in inside):
                size = dim.now.size
                every = size // dims[0].size if dim.now.kind == "product" else sum(a in dims for a in inside)
                members.append(Member(name, axis, tuple(roles.get((name, axis), ())), size, max(1, every)))
    return tuple(members)


def _reason(
    analysis: Analysis, dims: Sequence[Dim], members: Sequence[Member], normalisations: Sequence[Normalisation]
) -> str:
    """Why a space cannot grow; the first that is found."""
    reasons = [reason for dim in dims for reason in dim.reasons]
    if reasons:
        return reasons[0]
    for member in members:
        if member.name in analysis.exported.buffers and not (member.roles and set(member.roles) <= _MOVING):
            return f"{member.name} is a buffer of this size, which the code has filled"
    if dims[0].size == 1:
        return "one channel alone cannot be told from an axis that is broadcast: begin with two"
    if len({dim.size for dim in dims}) > 1:
        return "norms and views cut it in two ways"
    roles = {role for member in members for role in member.roles}
    if not roles & {Role.WRITE, Role.CHANNEL}:
        return "no layer writes it"
    contracted = any(atom in dims for dim in analysis.found.contracted for atom in atoms(dim))
    if Role.READ not in roles and not contracted:
        return "no layer reads it"
    return _norm_reason(analysis, dims, normalisations) or _tied_reason(members, normalisations)


def _norm_reason(analysis: Analysis, dims: Sequence[Dim], normalisations: Sequence[Normalisation]) -> str:
    if not normalisations:
        return ""
    before = {atom for norm in normalisations for atom in atoms(norm.before)}
    after = {atom for norm in normalisations for atom in atoms(norm.after)}
    if before & after:
        return (
            "what a norm makes of it is added to it or normalised again (post-norm): no start would keep the function"
        )
    if len({norm.kind for norm in normalisations}) > 1:
        return "norms of two kinds are over it"
    if missing := [norm for norm in normalisations if norm.weight is None]:
        return f"the norm in {missing[0].owner} has no weights"
    for use in analysis.found.uses:
        inside = set(atoms(use.dim))
        if inside & after and use.role is Role.WRITE and not inside & before and use.name not in analysis.found.shared:
            return f"{use.name} is added to what a norm makes of it"
        if inside & before and use.role in (Role.SCALE, Role.CHANNEL, Role.MEAN):
            return f"{use.name} scales each channel before a norm over all of them"
    if any(len(atoms(norm.before)) != 1 or norm.before.now.kind != "atom" for norm in normalisations):
        return "a norm is over it together with other channels"
    return ""


def _tied_reason(members: Sequence[Member], normalisations: Sequence[Normalisation]) -> str:
    if normalisations:
        return ""
    for member in members:
        if {Role.WRITE, Role.READ} <= set(member.roles):
            return f"{member.name} both writes and reads it (tied): new entries would count at once or never train"
    return ""


def _name(analysis: Analysis, dims: Sequence[Dim], label: str, taken: set[str]) -> str:
    """After the first operation that writes it."""
    order = {role: i for i, role in enumerate((Role.WRITE, Role.CHANNEL, Role.SHIFT, Role.SCALE, Role.READ))}
    uses = [use for use in analysis.found.uses if any(atom in dims for atom in atoms(use.dim))]
    first = min(uses, key=lambda use: order.get(use.role, 9), default=None)
    if first is not None:
        path, _, leaf = first.name.rpartition(".")
        stem = path if leaf == "weight" and path else first.name
        end = "out" if first.role is not Role.READ else "in"
        name = f"{stem}:{label or end}"
    else:
        key = next(n for n, own in analysis.tensors.items() if any(a in dims for d in own for a in atoms(d)))
        name = key
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}{number}", number + 1
    taken.add(unique)
    return unique


def spaces_by_name(spaces: Sequence[Space]) -> Mapping[str, Space]:
    """The spaces, for look-ups."""
    return {space.name: space for space in spaces}
