"""What new entries hold when they enter, so that the function is kept: writers are free where readers are 0.

Under a layer norm, new channels carry the mean of the old ones: they are 0 behind the norm, and readers are free
(after LEMON, Wang et al., ICLR 2024). Under an RMS norm they are 0 before it. Where queries meet keys, one side is 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dagrow.capture import Analysis, Dim, Role, Space, atoms, places

_NORM_ENTRIES = {Role.MEAN: 0.0, Role.VARIANCE: 1.0, Role.SHIFT: 0.0}


@dataclass(frozen=True)
class Start:
    """How some spaces grow.

    Attributes:
        analysis: of the module.
        spaces: that grow together.
        count: new channels of each.
        seed: of what is drawn.
        silent_part: of the parts that meet in a product of activations (query, key), which starts at 0.
        rescaled: whether the first of these parts is multiplied by ``sqrt((d + k) / d)``, against the
            ``1 / sqrt(d)`` of attention.
    """

    analysis: Analysis
    spaces: tuple[Space, ...]
    count: int
    seed: int = 0
    silent_part: int = 1
    rescaled: bool = False
    growth: Mapping[Dim, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "growth", {dim: self.count for space in self.spaces for dim in space.dims})

    def touches(self, name: str) -> bool:
        """Whether a tensor of the module changes."""
        return any(atom in self.growth for dim in self.analysis.tensors[name] for atom in atoms(dim))

    def value(self, name: str, old: Tensor) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        """The new value of a tensor, and per axis where its old entries are now (None where nothing changes)."""
        dims = self.analysis.tensors[name]
        new = self._changed(name, old)
        moved: list[Tensor | None] = []
        for axis, dim in enumerate(dims):
            if not any(atom in self.growth for atom in atoms(dim)):
                moved.append(None)
                continue
            found = places(dim, self.growth)
            picked = new.index_select(axis, found.old.clamp(min=0).to(new.device))
            shape = [-1 if i == axis else 1 for i in range(new.dim())]
            growing = list(self.growth)
            for space in self.spaces:
                own = [number for number, dim in enumerate(growing) if dim in space.dims]
                mine = torch.isin(found.cause, torch.tensor(own))
                if bool(mine.any()):
                    fill = self._fill(space, name, axis, old, new, picked)
                    picked = torch.where(mine.to(new.device).view(shape), fill, picked)
            new = picked
            moved.append(found.moved)
        return new.contiguous(), tuple(moved)

    def _changed(self, name: str, old: Tensor) -> Tensor:
        """The old entries as they go on: those of norms, and of queries, may have to make up for the new extent."""
        for space in self.spaces:
            share = space.size / (space.size + self.count)
            if any(norm.weight == name for norm in space.normalisations):
                return old.mul(share**0.5)
            if self.rescaled and self._meets(space):
                for axis, part in self._meeting_axes(name, space):
                    if (first := self._first_part(space)) and first[0] in self._layer(name):
                        shape = [-1 if i == axis else 1 for i in range(old.dim())]
                        mine = part == first[1]
                        return torch.where(mine.view(shape).to(old.device), old / share**0.5, old)
        return old

    def _fill(self, space: Space, name: str, axis: int, old: Tensor, new: Tensor, picked: Tensor) -> Tensor:
        """New entries of a space along an axis, of the shape of ``picked`` or of extent 1."""
        roles = self.roles(name, axis)
        zero = new.new_zeros(())
        if space.kind == "layer_norm" and self._is_before(name, axis, space) and roles & {Role.WRITE, Role.SHIFT}:
            return new.mean(axis, keepdim=True)
        if space.kind == "rms_norm" and self._is_before(name, axis, space) and roles & {Role.WRITE, Role.SHIFT}:
            return zero
        if Role.READ in roles:
            behind = space.kind != "plain" and not self._is_before(name, axis, space)
            return self._drawn(name, axis, old, picked) if behind else zero
        if Role.SCALE in roles:
            return new.mean(axis, keepdim=True) if space.kind != "plain" or new.dim() > 1 else new.new_ones(())
        for role, entry in _NORM_ENTRIES.items():
            if role in roles:
                return new.new_full((), entry)
        drawn = self._drawn(name, axis, old, picked)
        if self._meets(space):
            silent = self._silent(name, axis, space)
            shape = [-1 if i == axis else 1 for i in range(new.dim())]
            return torch.where(silent.view(shape).to(new.device), zero, drawn)
        return drawn

    def roles(self, name: str, axis: int) -> set[Role]:
        """What an axis of a tensor is to the channels there."""
        return {use.role for use in self.analysis.found.uses if use.name == name and use.axis == axis}

    def _is_before(self, name: str, axis: int, space: Space) -> bool:
        """Whether an axis is of channels before the norms of a space, or of both sides (tied)."""
        before = {norm.before.now for norm in space.normalisations}
        return any(atom in before for atom in atoms(self.analysis.tensors[name][axis]))

    def _drawn(self, name: str, axis: int, old: Tensor, picked: Tensor) -> Tensor:
        """Normal numbers as large as the entries that are there, the same for one seed and name."""
        digest = hashlib.sha256(f"{self.seed}:{name}:{axis}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        size = old.detach().double().square().mean().sqrt() if old.numel() else old.new_ones(())
        return torch.randn(picked.shape, generator=generator, dtype=torch.float64).to(picked) * size.to(picked)

    # Products of activations: their parts in the order of the module's tensors.

    def _meets(self, space: Space) -> bool:
        contracted = self.analysis.found.contracted
        return any(atom in space.dims for dim in contracted for atom in atoms(dim))

    def _meeting_axes(self, name: str, space: Space) -> list[tuple[int, Tensor]]:
        """Axes of a tensor that write what meets, each with the part that every old entry belongs to."""
        found = []
        for axis, dim in enumerate(self.analysis.tensors[name]):
            roles = self.roles(name, axis)
            if any(atom in space.dims for atom in atoms(dim)) and roles & {Role.WRITE, Role.SHIFT}:
                found.append((axis, places(dim, {}).part))
        return found

    def _parts(self, space: Space) -> list[tuple[str, int]]:
        """The parts that meet: of a tensor that writes them, with the number of the part inside it."""
        found: dict[tuple[str, int], None] = {}
        for name, dims in self.analysis.tensors.items():
            if self.analysis.aliases.get(name, name) != name:
                continue
            for axis, dim in enumerate(dims):
                if Role.WRITE in self.roles(name, axis) and any(atom in space.dims for atom in atoms(dim)):
                    here = places(dim, {space.dims[0]: 1})
                    found.update(dict.fromkeys((name, int(part)) for part in sorted(set(here.part[here.new].tolist()))))
        return list(found)

    def _first_part(self, space: Space) -> tuple[str, int] | None:
        return next(iter(self._parts(space)), None)

    def _layer(self, name: str) -> set[str]:
        """The tensors of the layer that a tensor is of."""
        path = name.rpartition(".")[0]
        return {other for other in self.analysis.tensors if other.rpartition(".")[0] == path}

    def _silent(self, name: str, axis: int, space: Space) -> Tensor:
        """Which entries of the grown axis are of the part that starts at 0."""
        found = places(self.analysis.tensors[name][axis], self.growth)
        parts = self._parts(space)
        silent = parts[self.silent_part % len(parts)] if parts else None
        if silent is None or silent[0] != name:
            return torch.zeros(len(found.old), dtype=torch.bool)
        return found.part == silent[1]

    @property
    def has_products(self) -> bool:
        """Whether activations that grow are multiplied by one another."""
        return any(self._meets(space) for space in self.spaces)
