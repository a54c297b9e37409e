"""Sizes that a person's code keeps in attributes, as ``num_heads``: which may have to change, to be found by trial."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from dagrow.capture import Analysis, Dim, atoms, extent
from dagrow.capture.dims import product
from dagrow.resize.layers import is_known

MOST_NAMES = 7
"""Attributes of which all combinations are tried; of more, single ones, pairs and all."""


class Setting(NamedTuple):
    """An attribute of a submodule and its new value."""

    module: nn.Module
    path: str
    name: str
    value: Any


def candidates(
    model: nn.Module, analysis: Analysis, growth: Mapping[Dim, int], touched: Sequence[str]
) -> dict[str, list[Setting]]:
    """Attributes that hold a size which changes, by name.

    Args:
        model: the module.
        analysis: of it.
        growth: new entries per atom.
        touched: paths of submodules whose tensors change; their own attributes and those of all that hold them.
    """
    sizes = _sizes(analysis, growth)
    paths: dict[str, None] = {}
    for path in touched:
        parts = path.split(".") if path else []
        paths.update(dict.fromkeys(".".join(parts[:count]) for count in range(len(parts), -1, -1)))
    found: dict[str, list[Setting]] = {}
    for path in paths:
        module = model.get_submodule(path)
        if is_known(module):
            continue
        for name, value in vars(module).items():
            if name.startswith("_") or name == "training":
                continue
            changed = _resized(value, sizes)
            if changed is not None:
                found.setdefault(name, []).append(Setting(module, path, name, changed))
    return found


def combinations(found: Mapping[str, Sequence[Setting]]) -> Iterator[tuple[Setting, ...]]:
    """Which attributes to set, the fewest first."""
    names = list(found)
    sizes = range(len(names) + 1) if len(names) <= MOST_NAMES else (0, 1, 2, len(names))
    for size in sizes:
        for chosen in itertools.combinations(names, size):
            yield tuple(setting for name in chosen for setting in found[name])


def _resized(value: Any, sizes: Mapping[int, int]) -> Any:
    """An integer, or a tuple or list with one, of the new size; None where there is none."""
    if type(value) is int:
        return sizes.get(value)
    if isinstance(value, (tuple, list)) and value and all(type(each) is int for each in value):
        changed = type(value)(sizes.get(each, each) for each in value) if type(value) in (tuple, list) else None
        return changed if changed != value else None
    return None


def _sizes(analysis: Analysis, growth: Mapping[Dim, int]) -> dict[int, int]:
    """Old extents of everything that a growing atom is in, with the new ones."""
    found = {dim.size: dim.size + count for dim, count in growth.items()}
    for dims in analysis.tensors.values():
        for dim in dims:
            for part in _inside(dim, growth):
                found.setdefault(part.size, extent(part, growth))
    return {old: new for old, new in found.items() if old > 1 and old != new}


def _inside(dim: Dim, growth: Mapping[Dim, int]) -> Iterator[Dim]:
    dim = dim.now
    if not any(atom in growth for atom in atoms(dim)):
        return
    yield dim
    if dim.kind == "product":
        for first, last in itertools.combinations(range(len(dim.parts) + 1), 2):
            part = product(dim.parts[first:last])
            if any(atom in growth for atom in atoms(part)):
                yield part
    for part in dim.parts:
        yield from _inside(part, growth)
